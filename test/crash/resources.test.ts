import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { mounted, smallDisk } from "../helpers/disks.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { isRoot } from "../helpers/machine.js";
import { checkNumbered, writeLines } from "../helpers/numbered-lines.js";
import { readOutput } from "../helpers/output.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const canMount = isRoot();

test.skipIf(!canMount)(
  "a file system without holes: logs with a limit begin later all the same, which is said once",
  async () => {
    const stateDir = join(mounted("ramfs", "mode=700"), "state");
    const server = await TestServer.start({ stateDir });
    const ids: string[] = [];
    for (let n = 0; n < 2; n += 1) {
      const { job } = await server.client.start({
        command: "sh",
        args: ["-c", writeLines(1, 100_000)],
        logLimitBytes: 100_000n,
      });
      ids.push(job!.id);
    }
    for (const id of ids) {
      await server.client.wait({ id });
      await eventually("the cut", async () => {
        const { job } = await server.client.get({ id });
        return job!.stdoutFirstOffset === 1_500_000n;
      });
      for await (const { event } of server.client.attach({ id })) {
        if (event.case !== "chunk") continue;
        expect(event.value.offset).toBeGreaterThanOrEqual(1_500_000n);
        checkNumbered(Number(event.value.offset), event.value.data);
      }
      checkNumbered(0, readFileSync(join(stateDir, "jobs", id, "stdout.log")));
    }
    await eventually("the warning", () => server.log.includes("cannot be given back"));
    expect(server.log.match(/cannot be given back/g)).toHaveLength(1);
  },
);

describe.skipIf(!canMount)("a state directory that cannot be written", () => {
  test("read-only: Start says so, reading goes on, and it heals", async () => {
    const disk = smallDisk("tmpfs", 4096);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const { job } = await server.client.start({ command: "echo", args: ["hi"] });
    await server.client.wait({ id: job!.id });
    execFileSync("mount", ["-o", "remount,ro", disk]);
    const error = await errorOf(server.client.start({ command: "true" }));
    expect(error).toMatchObject({ code: "Unavailable", reason: "STORAGE_UNAVAILABLE" });
    expect((await readOutput(server.client, job!.id)).toString()).toBe("hi\n");
    execFileSync("mount", ["-o", "remount,rw", disk]);
    await server.client.start({ command: "true" });
  });
});

test("moved away under the server and back: it stays up, and the jobs are as they were", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
  const { client } = server;
  const elsewhere = `${server.stateDir}.away`;
  renameSync(server.stateDir, elsewhere);
  try {
    renameSync(join(elsewhere, "procman.sock"), join(elsewhere, "moved.sock"));
    mkdirSync(server.stateDir, { mode: 0o700 });
    renameSync(join(elsewhere, "moved.sock"), server.socketPath);
    expect((await client.get({ id: job!.id })).job!.status).toBe(Status.RUNNING);
    expect(await errorOf(client.start({ command: "true" }))).toMatchObject({
      reason: "STORAGE_UNAVAILABLE",
    });
    await client.refresh({}).catch(() => {});
  } finally {
    renameSync(server.socketPath, join(elsewhere, "procman.sock"));
    rmSync(server.stateDir, { recursive: true });
    renameSync(elsewhere, server.stateDir);
  }
  expect((await client.get({ id: job!.id })).job!.status).toBe(Status.RUNNING);
  expect((await client.cancel({ id: job!.id })).job!.status).toBe(Status.CANCELLED);
  expect(server.hasEnded).toBe(false);
});

test("deleted under the server: it stays up and says what it cannot do", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
  const { client } = server;
  const jobs = join(server.stateDir, "jobs");
  // While it is deleted the server may still be writing a record there.
  await eventually("the jobs to be deleted", () => {
    rmSync(jobs, { recursive: true, force: true });
    return !existsSync(jobs);
  });
  expect(await errorOf(client.start({ command: "true" }))).toMatchObject({
    reason: "STORAGE_UNAVAILABLE",
  });
  await client.list({});
  process.kill(job!.pid, "SIGKILL");
  await client.refresh({}).catch(() => {});
  expect(server.hasEnded).toBe(false);
});

test("a job whose log is no file any more keeps nobody from the others", async () => {
  const server = await TestServer.start();
  const { client } = server;
  const damaged = (await client.start({ command: "sleep", args: ["1000"] })).job!;
  const other = (await client.start({ command: "echo", args: ["hi"] })).job!;
  await client.wait({ id: other.id });
  const log = join(server.stateDir, "jobs", damaged.id, "stdout.log");
  rmSync(log);
  mkdirSync(log);
  const { jobs } = await client.list({});
  expect(jobs.map(({ id }) => id)).toEqual([other.id, damaged.id]);
  expect(jobs[0]!.stdoutBytes).toBe(3n);
  await client.refresh({});
  const { job } = await client.cancel({ id: damaged.id });
  expect(job!.status).toBe(Status.CANCELLED);
});

test("a job that deletes its own files can be ended, and its end is then not known", async () => {
  const server = await TestServer.start();
  const { client } = server;
  const waitFor = (file: string) => `while [ ! -e "$0/${file}" ]; do sleep 0.02; done`;
  const script = `${waitFor("started")}; rm -rf "$0"/jobs/*; ${waitFor("go")}; exit 3`;
  const start = () =>
    client.start({ command: "sh", args: ["-c", script, server.stateDir] }).then(({ job }) => job!);
  const gone = (id: string) => {
    writeFileSync(join(server.stateDir, "started"), "");
    return eventually("no files", () => !existsSync(join(server.stateDir, "jobs", id)));
  };
  const cancelled = await start();
  await gone(cancelled.id);
  expect((await client.get({ id: cancelled.id })).job!.status).toBe(Status.RUNNING);
  expect((await client.cancel({ id: cancelled.id })).job).toMatchObject({
    status: Status.ORPHANED,
    error: "its files were deleted",
  });
  expect(existsSync(`/proc/${cancelled.pid}/exe`)).toBe(false);
  rmSync(join(server.stateDir, "started"));
  const ended = await start();
  await gone(ended.id);
  writeFileSync(join(server.stateDir, "go"), "");
  expect((await client.wait({ id: ended.id })).job!.status).toBe(Status.ORPHANED);
  await client.refresh({});
  for (const { id } of [cancelled, ended]) await client.remove({ id });
  expect((await client.list({})).totalSize).toBe(0);
});

test("out of file descriptors: a clear error or an answer, and all is well afterwards", async () => {
  const server = await TestServer.start();
  const { client } = server;
  // The connection that the calls below use is there before descriptors are short.
  await client.start({ command: "true" });
  const open = readdirSync(`/proc/${server.pid}/fd`).length;
  const limitDescriptors = (limit: number) =>
    execFileSync("prlimit", [`--pid=${server.pid}`, `--nofile=${limit}:`]);
  const answers: string[] = [];
  // At each of these another step of Start is the first to get none.
  for (let spare = -4; spare <= 8; spare += 1) {
    limitDescriptors(open + spare);
    const answer = await errorOf(client.start({ command: "true" })).then(
      ({ reason, message }) => reason ?? message,
      () => "started",
    );
    answers.push(answer);
  }
  expect(new Set(answers)).toEqual(new Set(["TOO_MANY_OPEN_FILES", "started"]));
  limitDescriptors(1024);
  expect(server.hasEnded).toBe(false);
  const { job: later } = await server.client.start({ command: "true" });
  expect((await server.client.wait({ id: later!.id })).job!.status).toBe(Status.COMPLETED);
  // What was refused left nothing behind.
  await eventually("all to have ended", async () => {
    const { jobs } = await server.client.list({ statuses: [Status.RUNNING, Status.PENDING] });
    return jobs.length === 0;
  });
  const { jobs } = await server.client.list({ pageSize: 1000 });
  expect(jobs.length).toBe(2 + answers.filter((answer) => answer === "started").length);
  expect(readdirSync(join(server.stateDir, "jobs")).sort()).toEqual(
    jobs.map(({ id }) => id).sort(),
  );
});

/** The pid of the runner that a server keeps for its next job: one without a command. */
function waitingRunner(server: number): number | undefined {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const pids = lines.split("\n").flatMap((line) => {
    const [pid, parent] = line.trim().split(/\s+/).map(Number);
    return parent === server && /\/runner(\.sh  |-linux-)/.test(line) ? [pid as number] : [];
  });
  return pids.find((pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8") === "");
}

test.skipIf(!canMount)("out of processes: PROCESS_LIMIT, and nothing is left", async () => {
  const stateDir = join(tempDir(), "state");
  mkdirSync(stateDir, { mode: 0o700 });
  // A user that nobody else is: the limit counts a user's threads everywhere.
  const uid = 54321;
  chownSync(stateDir, uid, uid);
  chmodSync(join(stateDir, ".."), 0o755);
  const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"] as const;
  const server = await TestServer.start({ stateDir, wrapper: asUser });
  const limitProcesses = (limit: number) => {
    const [program, ...args] = [...asUser, "prlimit", `--pid=${server.pid}`, `--nproc=${limit}:`];
    execFileSync(program, args);
  };
  const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
  const threads = readdirSync(`/proc/${server.pid}/task`).length;
  // The one that waits for the next job is not under the limit that the server is about to get.
  const waiting = await eventually("a runner that waits", () => waitingRunner(server.pid));
  process.kill(waiting, "SIGKILL");
  await eventually("its end", () => waitingRunner(server.pid) === undefined);
  // The runner and its command are two more: no room for another runner, then for one's command.
  for (const limit of [threads + 2, threads + 3]) {
    limitProcesses(limit);
    const error = await errorOf(server.client.start({ command: "sleep", args: ["1000"] }));
    expect(error).toMatchObject({ code: "ResourceExhausted", reason: "PROCESS_LIMIT" });
    expect((await server.client.list({})).jobs.map(({ id }) => id)).toEqual([job!.id]);
  }
  limitProcesses(4096);
  await server.client.start({ command: "true" });
});

test("wrong modes are put right, and a job's directory that is not a job's is left alone", async () => {
  const server = TestServer.prepare();
  mkdirSync(join(server.stateDir, "jobs", "stray"), { recursive: true });
  writeFileSync(join(server.stateDir, "jobs", "stray", "notes.txt"), "mine");
  writeFileSync(join(server.stateDir, "jobs", "a-file"), "mine too");
  chmodSync(server.stateDir, 0o777);
  await server.start();
  expect(statSync(server.stateDir).mode & 0o777).toBe(0o700);
  expect((await server.client.list({})).jobs).toEqual([]);
  expect(await errorOf(server.client.get({ id: "stray" }))).toMatchObject({
    code: "DataLoss",
    reason: "RECORD_UNREADABLE",
  });
  expect(readFileSync(join(server.stateDir, "jobs", "stray", "notes.txt"), "utf8")).toBe("mine");
  expect(existsSync(join(server.stateDir, "jobs", "a-file"))).toBe(true);
});
