import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { asOrdinaryUser } from "../helpers/ordinary-user.js";
import { endProcess, isRunning } from "../helpers/strangers.js";
import { TestServer, type TestServerOptions } from "../helpers/test-server.js";

/*
 * A job can make anything of the files in its directory, and a directory can become
 * unreachable. Neither may end the server, or hold it up.
 */

const isRoot = process.geteuid?.() === 0;

/** As an ordinary user too, whom modes keep out. */
const USERS: readonly (readonly [string, () => TestServerOptions])[] = [
  [isRoot ? "as root" : "as this user", () => ({})],
  ...(isRoot ? [["as an ordinary user", asOrdinaryUser] as const] : []),
];

const KINDS: Readonly<Record<string, (path: string) => void>> = {
  directory: (path) => mkdirSync(path),
  fifo: (path) => void execFileSync("mkfifo", [path]),
  loop: (path) => symlinkSync(path, path),
  huge: (path) => {
    writeFileSync(path, "");
    truncateSync(path, 2 ** 40);
  },
};

/** The first one is the one by which a server that has not seen the start knows the processes. */
const NAMES = ["process", "exit", "stopping", "first-offsets"];

async function startJob(server: TestServer, args: readonly string[] = ["1000"]) {
  const { job } = await server.client.start({ command: "sleep", args: [...args] });
  if (!job) throw new Error("no job");
  onTestFinished(() => endProcess(job.pid));
  return {
    id: job.id,
    pid: job.pid,
    path: (name: string) => join(server.stateDir, "jobs", job.id, name),
  };
}

function jobPath(job: Awaited<ReturnType<typeof startJob>> | undefined, name: string): string {
  if (!job) throw new Error("no job");
  return job.path(name);
}

/** A job from its start to its end, as a sign that the server works. */
async function expectService({ client }: TestServer): Promise<void> {
  const { job } = await client.start({ command: "true" });
  const { job: ended } = await client.wait({ id: job?.id as string });
  expect(ended?.status).toBe(Status.COMPLETED);
  await client.refresh({});
}

describe.each(USERS)("%s", (user, options) => {
  // The modes of what they are in make no difference to most.
  const kinds = Object.entries(KINDS).slice(0, user === USERS[0]?.[0] ? undefined : 1);

  test.each(kinds)("a job's files become a %s each", async (_kind, make) => {
    const server = await TestServer.start(options());
    const jobs = await Promise.all(NAMES.map(() => startJob(server)));
    const processPath = jobPath(jobs[0], "process");
    const exitPath = jobPath(jobs[1], "exit");
    const record = readFileSync(processPath);
    // What ends the jobs after the test needs it again.
    onTestFinished(() => {
      rmSync(processPath, { recursive: true, force: true });
      writeFileSync(processPath, record);
      rmSync(exitPath, { recursive: true, force: true });
      writeFileSync(exitPath, "");
    });
    NAMES.forEach((name, index) => {
      const path = jobs[index]?.path(name) as string;
      rmSync(path, { force: true });
      make(path);
    });
    await expectService(server);
    // The server has read who the processes are, and can still end them.
    const [unnamed, ...others] = jobs;
    await server.client.cancel({ id: unnamed?.id as string });
    expect(isRunning(unnamed?.pid as number)).toBe(false);
    await server.client.cancel({ id: others[1]?.id as string });
    expect(isRunning(others[1]?.pid as number)).toBe(false);
    const unread = others.at(-1)?.path("state.json") as string;
    // It is written a moment after the answer; then nothing writes it until the job's end.
    await eventually("its record", () => /"running"/.test(readFileSync(unread, "utf8")));
    rmSync(unread);
    make(unread);
    await server.restart();
    await expectService(server);
    const { jobs: listed } = await server.client.list({});
    for (const { id } of others.slice(0, -1)) expect(listed.map((job) => job.id)).toContain(id);
  });

  test.each(kinds)(
    "that one that was a %s is told as it ends, after a restart",
    async (kind, make) => {
      const server = await TestServer.start(options());
      const { id, pid, path } = await startJob(server);
      await eventually("its record", () =>
        /"running"/.test(readFileSync(path("state.json"), "utf8")),
      );
      rmSync(path("process"));
      make(path("process"));
      await server.restart();
      expect((await server.client.get({ id })).job?.status).toBe(Status.RUNNING);
      process.kill(pid, "SIGKILL");
      const { job } = await server.client.wait({ id });
      // A link to itself is taken for none: then the job may have been given up.
      expect(job).toMatchObject(
        kind === "loop"
          ? { status: Status.ORPHANED, error: "the record of its process was deleted or damaged" }
          : { status: Status.FAILED, signal: "SIGKILL", pid },
      );
      await server.client.remove({ id });
    },
  );

  test("a job's directory, and all of them, cannot be entered for a while", async () => {
    const server = await TestServer.start(options());
    const { id, pid, path } = await startJob(server);
    const short = await startJob(server, ["0.2"]);
    const dirs = [path(""), join(server.stateDir, "jobs"), server.stateDir];
    for (const dir of dirs) {
      chmodSync(dir, 0o000);
      try {
        // Whatever can be known of it then.
        await server.client.refresh({}).catch(() => {});
        await server.client.list({});
        if (dir === path("")) await expectService(server);
      } finally {
        chmodSync(dir, 0o700);
      }
    }
    expect(server.hasEnded).toBe(false);
    await expectService(server);
    expect((await server.client.wait({ id: short.id })).job?.status).toBe(Status.COMPLETED);
    process.kill(pid, "SIGKILL");
    const ended = await server.client.wait({ id });
    expect(ended.job).toMatchObject({ status: Status.FAILED, signal: "SIGKILL" });
  });
});

test("an unreadable lock, or one that is a FIFO, keeps no server from starting", async () => {
  const server = await TestServer.start();
  await server.kill();
  const lock = join(server.stateDir, "lock.1");
  rmSync(lock);
  execFileSync("mkfifo", [lock]);
  await server.start();
  await eventually("service", async () => {
    await expectService(server);
    return true;
  });
});
