import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { NATIVE_RUNNER } from "../../src/engine/local/runner/native-runner.js";
import { isHere } from "../helpers/foreign-parts.js";
import { hasNativeRunner } from "../helpers/native-runner.js";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs, TestServer } from "../helpers/test-server.js";

const ROOT = join(import.meta.dirname, "../..");

const PROGRAM = `
import { credentials, makeClientConstructor, Metadata } from "@grpc/grpc-js";
import { create } from "@bufbuild/protobuf";
import { Manager, ProcmanError, type Job, type Procman } from "procman";
import { createProcmanClient } from "procman/client";
import { createProcmanClient as createWebClient } from "procman/web";
import { type ListResponse, ListRequestSchema, procmanGrpcDefinition } from "procman/grpc";

const [socketPath = "", baseUrl = "", token = ""] = process.argv.slice(2);
const clients: Procman[] = [createProcmanClient({ socketPath }), createWebClient({ baseUrl, token })];
for (const client of clients) {
  const job: Job = await client.start({ command: "sh", args: ["-c", "exit 3"] });
  const ended = await client.wait(job.id);
  console.log(ended.status, ended.status === "failed" ? ended.exitCode : "");
  await client.get("nonesuch").catch((error: unknown) => {
    console.log(error instanceof ProcmanError ? error.reason : error);
  });
  await client.close();
}
const Grpc = makeClientConstructor(procmanGrpcDefinition, "ProcmanService");
const grpc = new Grpc(baseUrl.replace("http://", ""), credentials.createInsecure());
const metadata = new Metadata();
metadata.set("authorization", "Bearer " + token);
const list = await new Promise<ListResponse>((resolve, reject) => {
  grpc["list"]?.(create(ListRequestSchema), metadata, (error: Error | null, answer: ListResponse) =>
    error ? reject(error) : resolve(answer),
  );
});
console.log("total", list.totalSize);
grpc.close();
console.log(typeof Manager.open);
`;

test("the packed package works, with its types, where it is installed", {
  timeout: 300_000,
}, async () => {
  const server = await TestServer.start();
  const app = join(tempDir(), "app");
  mkdirSync(app);
  // Without scripts: the build that other tests are using stays as it is.
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", app], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "ignore"],
    }).toString(),
  ) as [{ filename: string; files: { path: string }[] }];
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toContain("dist/src/engine/local/runner.sh");
  expect(paths).toContain("dist/bin/server.cjs");
  expect(paths).toContain("proto/procman/v1/procman.proto");
  expect(paths).toContain("LICENSE");
  expect(paths).toContain("dist/bin/LICENSES.txt");
  expect(paths).toContain("dist/web/index.html.gz");
  expect(paths).toContain("dist/web/LICENSES.txt");
  expect(paths.filter((path) => path.startsWith("test/") || path.startsWith("src/"))).toEqual([]);
  expect(paths.flatMap((path) => brokenLinks(path, paths))).toEqual([]);

  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: app, stdio: ["ignore", "pipe", "pipe"] }).toString();
  writeFileSync(join(app, "package.json"), '{"name":"app","version":"1.0.0","type":"module"}');
  const install = (what: string) =>
    run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", what);
  install(packed.filename);
  const runner = join("dist/src/engine/local", NATIVE_RUNNER);
  if (hasNativeRunner()) {
    expect(paths).toContain(runner);
    expect(statSync(join(app, "node_modules/procman", runner)).mode & 0o111).toBe(0o111);
  }
  // Only what the library needs: the command line has its own in it.
  const installed = run("npm", "ls", "--all", "--parseable").trim().split("\n");
  expect(installed.length).toBeLessThan(20);
  expect(installed.join(" ")).not.toMatch(/@types|@grpc|protobufjs/);
  // Those who use `procman/grpc` bring it.
  install("@grpc/grpc-js@1.14");
  writeFileSync(join(app, "program.ts"), PROGRAM);
  writeFileSync(
    join(app, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "es2022",
        module: "nodenext",
        strict: true,
        types: ["node"],
        typeRoots: [join(ROOT, "node_modules/@types")],
        outDir: "out",
        rootDir: ".",
      },
      include: ["program.ts"],
    }),
  );
  run(join(ROOT, "node_modules/.bin/tsc"), "-p", ".");
  const output = run("node", "out/program.js", server.socketPath, server.baseUrl, server.token);
  expect(output).toBe("failed 3\nJOB_NOT_FOUND\nfailed 3\nJOB_NOT_FOUND\ntotal 2\nfunction\n");
  expect(run("npx", "--no-install", "procman", "--version")).toMatch(/^\d+\.\d+\.\d+\n$/);

  // The long-term releases of Node after the one that runs this.
  for (const node of laterNodes(app)) {
    const args = [server.socketPath, server.baseUrl, server.token];
    expect(run(node, "out/program.js", ...args)).toContain("failed 3\nJOB_NOT_FOUND\n");
    const stateDir = join(tempDir(), "state");
    const procman = (...words: string[]) =>
      run(node, "node_modules/procman/dist/bin/procman.cjs", "--state-dir", stateDir, ...words);
    onTestFinished(async () => {
      procman("stop");
      await endJobs(stateDir);
    });
    const id = procman("run", "-d", "-t", "-i", "--", "cat").trim();
    expect(procman("cancel", id)).toContain("cancelled");
    expect(JSON.parse(procman("get", "--json", id)).pty).toBe(true);
  }
});

test("systemd takes the unit", () => {
  const unit = join(ROOT, "packaging/procman.service");
  const { error, status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit]);
  if (!isHere(error && "systemd-analyze (Debian's package systemd) is not installed")) return;
  expect(status, String(stderr)).toBe(0);
  expect(readFileSync(unit, "utf8")).toMatch(/^KillMode=process$/m);
});

/** Links of a document in the package to what is not in it. */
function brokenLinks(document: string, paths: readonly string[]): string[] {
  if (!document.endsWith(".md")) return [];
  const text = readFileSync(join(ROOT, document), "utf8");
  return [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
    .map(([, link]) => posix.join(posix.dirname(document), link as string))
    .filter((path) => !paths.some((packed) => packed === path || packed.startsWith(`${path}/`)));
}

/** Programs of the later versions of Node that procman is tested on, from npm. */
function laterNodes(app: string): string[] {
  const versions = ["22", "24"];
  const { status, stderr } = spawnSync(
    "npm",
    ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"].concat(
      versions.map((version) => `node${version}@npm:node-linux-${process.arch}@${version}`),
    ),
    { cwd: app },
  );
  if (!isHere(status === 0 ? undefined : `later versions of Node: ${String(stderr)}`)) return [];
  return versions.map((version) => join(app, `node_modules/node${version}/bin/node`));
}
