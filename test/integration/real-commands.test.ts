import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Status, Stream } from "../../gen/procman/v1/procman_pb.js";
import { collect } from "../helpers/errors.js";
import { linesOf, readOutput } from "../helpers/output.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

test("git clone --progress of a local repository", async () => {
  const source = join(tempDir(), "source");
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
      cwd: source,
      stdio: "pipe",
    });
  mkdirSync(source);
  git("init", "-q");
  for (let n = 0; n < 300; n += 1) writeFileSync(join(source, `f${n}`), `content ${n}\n`);
  git("add", ".");
  git("commit", "-qm", "files");
  const server = await TestServer.start();
  const target = join(tempDir(), "clone");
  const { job } = await server.client.start({
    command: "git",
    args: ["clone", "--progress", "--no-local", source, target],
  });
  const lines = linesOf(await collect(server.client.watch({ id: job!.id })));
  const ended = (await server.client.get({ id: job!.id })).job!;
  expect(ended.status).toBe(Status.COMPLETED);
  expect(existsSync(join(target, "f299"))).toBe(true);
  const percents = lines.flatMap(({ progress }) => progress?.percent ?? []);
  expect(percents.length).toBeGreaterThan(10);
  expect(percents.at(-1)).toBe(100);
  expect(ended.progress?.percent).toBe(100);
});

test("npm install of a small package", async () => {
  const server = await TestServer.start();
  const dir = tempDir();
  const dependency = join(dir, "dependency");
  mkdirSync(dependency);
  writeFileSync(join(dependency, "package.json"), '{"name":"dependency","version":"1.0.0"}');
  const app = join(dir, "app");
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), '{"name":"app","version":"1.0.0"}');
  const { job } = await server.client.start({
    command: "npm",
    args: ["install", "--no-audit", "--no-fund", "--install-links", "../dependency"],
    workDir: app,
  });
  const { job: ended } = await server.client.wait({ id: job!.id });
  expect(ended!.status, (await readOutput(server.client, job!.id, Stream.STDERR)).toString()).toBe(
    Status.COMPLETED,
  );
  expect((await readOutput(server.client, job!.id)).toString()).toContain("added 1 package");
  expect(existsSync(join(app, "node_modules/dependency/package.json"))).toBe(true);
});

test("a program without a shebang line, which the shell runs", async () => {
  const server = await TestServer.start();
  const script = join(tempDir(), "script");
  writeFileSync(script, "echo ran; exit 4\n", { mode: 0o755 });
  const { job } = await server.client.start({ command: script });
  const { job: ended } = await server.client.wait({ id: job!.id });
  expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 4 });
  expect((await readOutput(server.client, job!.id)).toString()).toBe("ran\n");
});

test("a command that leaves a background child behind ends with its own exit", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", "sleep 5 & echo started; exit 0"],
  });
  expect((await readOutput(server.client, job!.id)).toString()).toBe("started\n");
  expect((await server.client.get({ id: job!.id })).job!.status).toBe(Status.COMPLETED);
});
