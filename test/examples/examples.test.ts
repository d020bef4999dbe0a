import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { chromiumIsMissing, launchChromium } from "../helpers/chromium.js";
import { eventually } from "../helpers/eventually.js";
import { isHere } from "../helpers/foreign-parts.js";
import { freePort } from "../helpers/free-port.js";
import { GO_CACHE, goIsMissing } from "../helpers/go-program.js";
import { javaIsMissing } from "../helpers/java-program.js";
import { pythonIsMissing } from "../helpers/python-stubs.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const ROOT = join(import.meta.dirname, "../..");
const STEPS = [1, 2, 3, 4, 5];

const dir = sharedTempDir();
const clone = join(dir, "clone");
const port = await freePort();
const pagePort = await freePort();
const server = TestServer.shared({
  // Where the examples look for the socket and the token.
  stateDir: join(dir, ".cache/procman"),
  args: ["--listen", `127.0.0.1:${port}`, "--allow-origin", `http://127.0.0.1:${pagePort}`],
});

beforeAll(() => {
  mkdirSync(clone);
  cpSync(join(ROOT, "examples"), join(clone, "examples"), {
    recursive: true,
    filter: (path) => !path.endsWith("/build"),
  });
  for (const name of ["package.json", "proto", "dist", "node_modules"]) {
    symlinkSync(join(ROOT, name), join(clone, name));
  }
});

test.skipIf(!isHere(pythonIsMissing()))("Python follows, also over a restart", async () => {
  const { code, output } = await run("Python");
  expect(code, output).toBe(3);
  for (const step of STEPS) expect(output).toMatch(lineOf(step));
  expect(output).toContain("STATUS_FAILED with exit code 3");

  const go = join(mkdtempSync(join(dir, "go-")), "go");
  const script = `echo before; while [ ! -e ${go} ]; do sleep 0.05; done; echo after`;
  const follow = shell(`python3 examples/python/follow.py sh -c '${script}'`, {
    PYTHONPATH: "examples/build",
  });
  await eventually("the first line", () => follow.output().includes("| before"));
  await server.restart("SIGTERM");
  writeFileSync(go, "");
  expect(await follow.code).toBe(0);
  expect(follow.output().match(/\| .*/g)).toEqual(["| before", "| after"]);
  expect(follow.output()).toContain("the connection is lost");
});

test.skipIf(!isHere(chromiumIsMissing()))("the web page follows", async () => {
  const serving = shell(blockOf("Web"));
  const origin = `http://127.0.0.1:${pagePort}`;
  await eventually("the page", async () => (await fetch(origin)).ok);
  const browser = await launchChromium();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`${origin}/#token=${server.token}&server=${server.baseUrl}`);
  const text = () => page.locator("pre").innerText();
  await eventually("the end", async () => (await text()).includes("exit code"));
  expect(await text()).toBe(
    `${STEPS.map((step) => `step ${step}/5\n`).join("")}failed with exit code 3`,
  );
  expect(await page.locator("progress").evaluate((bar) => (bar as HTMLProgressElement).value)).toBe(
    100,
  );
  serving.child.stdin.end();
  expect(await serving.code).toBe(0);
});

test("grpc-js follows", async () => {
  const { code, output } = await run("grpc-js");
  expect(code, output).toBe(3);
  expect(output).toContain(STEPS.map((step) => `step ${step}/5\n`).join(""));
  expect(output).toContain("FAILED with exit code 3");
});

test("curl follows", async () => {
  const { code, output } = await run("curl");
  expect(code, output).toBe(3);
  expect(output).toContain(STEPS.map((step) => `step ${step}/5\n`).join(""));
  expect(output).toContain("exit code 3");
});

test.skipIf(!isInstalled("grpcurl"))("grpcurl follows", async () => {
  const { code, output } = await run("grpcurl");
  expect(code, output).toBe(0);
  expect(output).toContain("step 1/1\n");
  expect(output).toContain('"exitCode": 3');
});

test.skipIf(!isHere(goIsMissing()))("Go follows", { timeout: 180_000 }, async () => {
  const { code, output } = await run("Go", { GOCACHE: GO_CACHE });
  expect(code, output).toBe(3);
  for (const step of STEPS) expect(output).toMatch(lineOf(step));
  expect(output).toContain("STATUS_FAILED with exit code 3");
});

test.skipIf(!isHere(javaIsMissing()))("Java follows", { timeout: 180_000 }, async () => {
  const { code, output } = await run("Java");
  expect(code, output).toBe(3);
  for (const step of STEPS) expect(output).toMatch(lineOf(step));
  expect(output).toContain("STATUS_FAILED with exit code 3");
});

function lineOf(step: number): RegExp {
  return new RegExp(`^ *${step * 20}% \\| step ${step}/5$`, "m");
}

/** What examples/README.md says to do, under a heading. */
function blockOf(heading: string): string {
  const readme = readFileSync(join(ROOT, "examples/README.md"), "utf8");
  const [, section = ""] = readme.split(`\n## ${heading}\n`);
  const block = /^```sh\n(.*?)^```$/ms.exec(section.split("\n## ")[0] ?? "")?.[1];
  if (block === undefined) throw new Error(`examples/README.md says nothing under ${heading}`);
  return block;
}

async function run(heading: string, env: Record<string, string> = {}) {
  const { code, output } = shell(blockOf(heading), env);
  return { code: await code, output: output() };
}

/** In the clone, by a user whose server is this one, wherever it listens. */
function shell(
  script: string,
  env: Record<string, string> = {},
): { child: ChildProcessWithoutNullStreams; code: Promise<number | null>; output: () => string } {
  const child = spawn("sh", ["-ec", script.replaceAll(":8000", `:${pagePort}`)], {
    cwd: clone,
    // Debian's programs come before others of the same names.
    env: {
      ...process.env,
      PATH: `/usr/bin:/bin:${dirname(process.execPath)}`,
      HOME: dir,
      // Java has no unix sockets.
      PROCMAN_ADDRESS: `127.0.0.1:${port}`,
      PROCMAN_STATE_DIR: undefined,
      PYTHONDONTWRITEBYTECODE: "1",
      ...env,
    },
    stdio: "pipe",
    detached: true,
  });
  onTestFinished(() => endGroup(child));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
    });
  }
  const code = once(child, "close").then(([code]) => code as number | null);
  return { child, code, output: () => output };
}

/** Whatever a failed test has left of it. */
function endGroup({ pid = 0 }: ChildProcessWithoutNullStreams): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((path) => existsSync(join(path, program)));
}
