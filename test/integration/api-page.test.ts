import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { isHere } from "../helpers/foreign-parts.js";
import { generatePython, PYTHON, pythonIsMissing } from "../helpers/python-stubs.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/api.md"), "utf8");

const home = sharedTempDir();
TestServer.shared({ stateDir: join(home, ".cache/procman") });

test("every RPC that the contract has is on the page", () => {
  const contract = readFileSync(join(ROOT, "proto/procman/v1/procman.proto"), "utf8");
  const rpcs = [...contract.matchAll(/^ {2}rpc (\w+)\(/gm)].map(([, name]) => name as string);
  const named = [...PAGE.matchAll(/^## (.*)$/gm)].flatMap(([, title]) => title?.split(", ") ?? []);
  expect(rpcs.filter((name) => !named.includes(name))).toEqual([]);
});

test("every reason that errors have is on the page", () => {
  const errors = readFileSync(join(ROOT, "src/contract/errors.ts"), "utf8");
  const reasons = [...errors.matchAll(/"([A-Z]+(?:_[A-Z]+)+)"/g)].map(([, name]) => name as string);
  expect(reasons.length).toBeGreaterThan(10);
  expect(reasons.filter((reason) => !PAGE.includes(reason))).toEqual([]);
});

test("the calls with curl and grpcurl work", { timeout: 120_000 }, async () => {
  const { code, output } = await run("sh", ["-c", `set -e\n${shellProgram()}`]);
  expect(code, output).toBe(0);
  // Each error would be told as one of these.
  expect(output).not.toMatch(/"(code|error)": ?["{]/);
  for (const data of ["one\n", "got yes\n"]) {
    expect(decodedChunks(output)).toContain(data);
  }
  expect(output).toContain('"text":"got yes"');
  expect(output).toContain('"snapshot"');
  expect(output).toContain("STATUS_CANCELLED");
});

test("the program in TypeScript works", async () => {
  // In a directory in which the package is installed.
  const dir = join(home, "program");
  mkdirSync(join(dir, "node_modules"), { recursive: true });
  symlinkSync(ROOT, join(dir, "node_modules/procman"));
  writeFileSync(join(dir, "program.mjs"), blocks("ts").join("\n"));
  const { code, output } = await run(process.execPath, [join(dir, "program.mjs")]);
  expect(code, output).toBe(0);
  expect(output).toContain("running\n");
  expect(output).toContain("one\ngot yes\nexit code 3\n");
  expect(output).toContain("cancelled\n");
});

test.skipIf(!isHere(pythonIsMissing()))("the program in Python works", async () => {
  const dir = join(home, "python");
  mkdirSync(dir);
  const env = await generatePython(dir, { services: true });
  const program = join(home, "program.py");
  writeFileSync(program, blocks("python").join("\n"));
  const { code, output } = await run(PYTHON, [program], env);
  expect(code, output).toBe(0);
  expect(output).toContain("STATUS_RUNNING\n");
  expect(output).toContain("one\ngot yes\nexit code 3\n");
  expect(output).toContain("STATUS_CANCELLED\n");
});

function blocks(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, block]) => block as string,
  );
}

/** All shell blocks; where grpcurl would be, buf does the same by reflection. */
function shellProgram(): string {
  const grpcurl = /^rpc\(\) .*$/m;
  const program = blocks("sh").join("\n");
  expect(program).toMatch(grpcurl);
  const buf = join(ROOT, "node_modules/.bin/buf");
  return program.replace(
    grpcurl,
    () =>
      `rpc() { ${buf} curl --protocol grpc --http2-prior-knowledge --unix-socket "$sock" -d "$2" "$url/$1"; }`,
  );
}

function decodedChunks(output: string): string {
  return [...output.matchAll(/"data": ?"([^"]*)"/g)]
    .map(([, data]) => Buffer.from(data as string, "base64").toString())
    .join("");
}

async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(command, args, {
    cwd: home,
    env: {
      ...process.env,
      PATH: `${process.env["PATH"]}:${dirname(process.execPath)}`,
      HOME: home,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}
