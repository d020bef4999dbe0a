import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { freePort } from "../helpers/free-port.js";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs } from "../helpers/test-server.js";

const ROOT = join(import.meta.dirname, "../..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const SETUP_AND_TEST = "npm ci && npm test";

function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    (match) => match[1] as string,
  );
}

/** What a stranger has: a clone of what is committed, and of what is about to be. */
function clone(): string {
  const dir = join(tempDir(), "clone");
  execFileSync("git", ["clone", "-q", ROOT, dir]);
  const changed = execFileSync("git", ["ls-files", "-mo", "--exclude-standard", "-z"], {
    cwd: ROOT,
  })
    .toString()
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(ROOT, path)));
  for (const path of changed) execFileSync("cp", ["--parents", path, dir], { cwd: ROOT });
  return dir;
}

test("every command of the README works in a fresh clone, in the order given", {
  timeout: 300_000,
}, async () => {
  const dir = clone();
  const home = join(tempDir(), "home");
  mkdirSync(home, { mode: 0o700 });
  const stateDir = join(home, ".cache/procman");
  const env = { ...process.env, HOME: home, PROCMAN_STATE_DIR: undefined, CI: undefined };
  // npm keeps its cache, which has nothing to do with this, where it is.
  const npmCache = execFileSync("npm", ["config", "get", "cache"]).toString().trim();
  const port = await freePort();
  const run = (script: string) => shell(script, dir, { ...env, npm_config_cache: npmCache }, port);
  onTestFinished(async () => {
    await run("npx procman stop").catch(() => {});
    await endJobs(stateDir);
  });

  const [first, setupAndTest, ...rest] = blocks("sh") as [string, string, ...string[]];
  // This very run is what the second line does.
  expect(setupAndTest.trim()).toBe(SETUP_AND_TEST);
  expect((await run(first)).output).toContain("step 5 of 5");

  const demonstration = rest.filter((block) => block.includes("$id") || block.includes("id=$("));
  expect(demonstration).toHaveLength(2);
  const story = await run(demonstration.join("\n"));
  expect(story.output).toContain("running");
  expect(story.output).toContain("exit code 7");
  expect(story.output).toContain("line 1\nline 2\nline 3\n");
  expect(story.output).toContain("oops");

  // The API's: a server on the port that the examples name, then each of them.
  const [serve, ...calls] = rest.filter((block) => !demonstration.includes(block));
  expect(serve).toContain("procman serve");
  const server = spawn("sh", ["-c", inPort(serve as string, port)], {
    cwd: dir,
    env: { ...env, npm_config_cache: npmCache },
    stdio: "ignore",
  });
  onTestFinished(async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill("SIGTERM");
    await once(server, "exit");
  });
  await eventually("the server", () => fetch(`http://127.0.0.1:${port}/healthz`).then((r) => r.ok));
  for (const call of calls) {
    if (call.includes("grpcurl") && !isInstalled("grpcurl")) {
      // In no package registry that CI reaches: not in Debian 12, not on npm.
      console.warn("skipped: grpcurl is not installed");
      continue;
    }
    const { code, output } = await run(call);
    expect(code, output).toBe(0);
    expect(output).toMatch(/"job"|"jobs"/);
  }

  for (const [index, program] of blocks("ts").entries()) {
    const file = join(dir, `readme-${index}.mjs`);
    writeFileSync(file, program);
    const { code, output } = await run(`node ${file}; rm -rf /tmp/procman-library-demo`);
    expect(code, output).toBe(0);
    expect(output).toContain("exit code 3");
  }
});

async function shell(
  script: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
  port: number,
): Promise<{ code: number | null; output: string }> {
  const child = spawn("sh", ["-c", inPort(script, port)], { cwd, env, stdio: "pipe" });
  child.stdin.end();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

/** The port of the examples may be in use here. */
function inPort(script: string, port: number): string {
  return script.replaceAll("127.0.0.1:7420", `127.0.0.1:${port}`);
}

function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((dir) => existsSync(join(dir, program)));
}
