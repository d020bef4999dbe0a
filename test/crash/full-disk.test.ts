import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Output, Status } from "../../gen/procman/v1/procman_pb.js";
import { type DiskType, ext4Disk, fill, giveBack, makeRoom, smallDisk } from "../helpers/disks.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { isRoot } from "../helpers/machine.js";
import { checkNumbered, writeLines } from "../helpers/numbered-lines.js";
import { readOutput } from "../helpers/output.js";
import { endAll, procman } from "../helpers/procman-command.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const RESERVE_BYTES = 1024 * 1024;

/** A command that takes all room there is, and goes on to take what others give back. */
const HUNGRY = "while :; do echo 0123456789012345678901234567890123456789 2>/dev/null; done";

/** What it takes when nobody else does. */
const SPARE_BYTES = 512 * 1024;

function exitAt(file: string, code: number): string {
  return `until [ -e ${file} ]; do sleep 0.01; done; exit ${code}`;
}

function leave(disk: string, bytes: number): void {
  fill(disk);
  giveBack(disk, bytes);
}

function reserveOf(stateDir: string): number {
  return statSync(join(stateDir, "reserve"), { throwIfNoEntry: false })?.size ?? 0;
}

interface JobLine {
  readonly id: string;
  readonly status: string;
  readonly exitCode?: number;
}

function untilFull(disk: string): Promise<unknown> {
  return eventually("the disk to be full", () => statfsSync(disk).bavail === 0, 60_000);
}

describe.skipIf(!isRoot())("disk full", () => {
  test("within a piece of input: the part that was taken does not come twice", async () => {
    const disk = smallDisk("tmpfs", 4096);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const { job } = await server.client.start({ command: "sha256sum", stdin: true });
    const { id } = job!;
    const data = randomBytes(256 * 1024);
    fill(disk);
    giveBack(disk, 64 * 1024);
    const piece = { id, sender: "a", offset: 0n, data, close: true };
    const error = await errorOf(server.client.sendInput(piece));
    expect(error).toMatchObject({ code: "ResourceExhausted", reason: "DISK_FULL" });
    expect(error.message).toMatch(/after [1-9]\d* bytes were taken/);
    const { nextOffset } = await server.client.sendInput({ id, sender: "a" });
    expect(nextOffset).toBe(BigInt(statSync(join(disk, "state/jobs", id, "stdin.log")).size));
    expect(nextOffset).toBeGreaterThan(0n);
    makeRoom(disk);
    expect((await server.client.sendInput(piece)).nextOffset).toBe(BigInt(data.length));
    await server.client.wait({ id });
    const hash = createHash("sha256").update(data).digest("hex");
    expect((await readOutput(server.client, id)).toString()).toContain(hash);
  });

  test("at Start: a clear error, nothing left, and all is well once there is room", async () => {
    const disk = smallDisk("tmpfs", 2048);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    fill(disk);
    const error = await errorOf(server.client.start({ command: "true" }));
    expect(error).toMatchObject({ code: "ResourceExhausted", reason: "DISK_FULL" });
    expect((await server.client.list({})).jobs).toEqual([]);
    makeRoom(disk);
    expect(readdirSync(join(server.stateDir, "jobs"))).toEqual([]);
    const { job } = await server.client.start({ command: "true" });
    expect((await server.client.wait({ id: job!.id })).job!.status).toBe(Status.COMPLETED);
  });

  test("by one job after another: it is said to be that, whatever step comes to it first", async () => {
    const disk = smallDisk("tmpfs", 400);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const answers: (string | undefined)[] = [];
    for (let refused = 0; refused < 5; ) {
      const answer = await errorOf(server.client.start({ command: "true" })).then(
        ({ reason }) => reason,
        () => "started",
      );
      answers.push(answer);
      if (answer !== "started") refused += 1;
    }
    expect(new Set(answers)).toEqual(new Set(["started", "DISK_FULL"]));
    const { jobs } = await server.client.list({ pageSize: 1000 });
    expect(jobs.length).toBe(answers.filter((answer) => answer === "started").length);
  });

  describe("what goes through pipes", () => {
    /** A job that waits, with all of the disk full and its carrier gone. */
    async function startWaiting(rest: string) {
      const disk = smallDisk("tmpfs", 40 * 1024);
      const server = await TestServer.start({ stateDir: join(disk, "state") });
      const go = join(tempDir(), "go");
      const script = `until [ -e ${go} ]; do sleep 0.01; done; ${writeLines("1", "40000")}`;
      const { job } = await server.client.start({
        command: "sh",
        args: ["-c", `${script}; ${rest}`],
        output: Output.PIPE,
      });
      const read = (name: string) => readFileSync(join(disk, "state/jobs", job!.id, name));
      leave(disk, 100_000);
      writeFileSync(go, "");
      const carrier = /^carrier stdout (\d+)/m.exec(read("process").toString())?.[1];
      await eventually("its carrier to find no room", () => !existsSync(`/proc/${carrier}`));
      return { disk, client: server.client, id: job!.id, read };
    }

    test("the command waits, and goes on once there is room", async () => {
      const { disk, client, id, read } = await startWaiting("exit 6");
      const seen = await client.wait({ id, timeout: { seconds: 0n, nanos: 300_000_000 } });
      expect(seen.job!.status).toBe(Status.RUNNING);
      const before = read("stdout.log");
      makeRoom(disk);
      expect((await client.wait({ id })).job).toMatchObject({ exitCode: 6 });
      const after = read("stdout.log").subarray(before.length);
      // What that carrier had read and not written is lost, and nothing else.
      const all = 40_000 * 16;
      checkNumbered(0, before);
      checkNumbered(all - after.length, after);
      expect(all - after.length - before.length).toBeLessThanOrEqual(64 * 1024);
    });

    test.each([0n, 5n])("a cancel with a grace of %d s does not wait for room", async (seconds) => {
      const { client, id } = await startWaiting("exit 6");
      const { job } = await client.cancel({ id, gracePeriod: { seconds } });
      expect(job!.status).toBe(Status.CANCELLED);
      await client.remove({ id });
    });
  });

  test("when the exit of an earlier version's job must be recorded: it ends as it did once there is room", async () => {
    const disk = smallDisk("tmpfs", 2048);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const go = join(tempDir(), "go");
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", `while [ ! -e ${go} ]; do sleep 0.01; done; exit 6`],
    });
    // It had no room for its exit record from the start.
    truncateSync(join(server.stateDir, "jobs", job!.id, "exit"));
    fill(disk);
    writeFileSync(go, "");
    await eventually("the command's end", () => !existsSync(`/proc/${job!.pid}/exe`));
    const { job: meanwhile } = await server.client.wait({
      id: job!.id,
      timeout: { seconds: 0n, nanos: 300_000_000 },
    });
    // Not known yet, and nothing else is claimed.
    expect(meanwhile!.status).toBe(Status.RUNNING);
    makeRoom(disk);
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 6 });
    await server.restart();
    const { job: after } = await server.client.get({ id: job!.id });
    expect(after).toMatchObject({ status: Status.FAILED, exitCode: 6 });
  });

  test("while a job writes: what it wrote is there, its own error is its exit", async () => {
    const disk = smallDisk("tmpfs", 2048);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", "head -c 4000000 /dev/zero; echo code $? >&2; exit 8"],
    });
    await eventually("the disk to be full or the job to have ended", async () => {
      const { job: seen } = await server.client.get({ id: job!.id });
      return seen!.stdoutBytes > 1_000_000n;
    });
    // The log itself fills the disk; room comes from elsewhere.
    execFileSync("mount", ["-o", "remount,size=16m", disk]);
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended!.exitCode).toBe(8);
    expect((await readOutput(server.client, job!.id)).length).toBe(Number(ended!.stdoutBytes));
  });

  test("a log limit makes room, with no room left to write down how", async () => {
    const disk = smallDisk("tmpfs", 8192);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const go = join(tempDir(), "go");
    const write = "head -c 3000000 /dev/zero | tr '\\0' x";
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", `until [ -e ${go} ]; do sleep 0.01; done; ${write}; sleep 1000`],
      logLimitBytes: 65_536n,
    });
    process.kill(server.pid, "SIGSTOP");
    writeFileSync(go, "");
    const log = join(server.stateDir, "jobs", job!.id, "stdout.log");
    await eventually("the output", () => statSync(log).size === 3_000_000);
    fill(disk);
    process.kill(server.pid, "SIGCONT");
    await eventually("the disk space", () => statSync(log).blocks * 512 < 200_000);
    const { job: after } = await server.client.get({ id: job!.id });
    expect(after!.stdoutFirstOffset).toBeGreaterThan(2_800_000n);
    // There is room for others.
    await server.client.start({ command: "true" });
  });

  test("a cancel that cannot be recorded, for want of a reserve, is refused, and works once there is room", async () => {
    const disk = smallDisk("tmpfs", 2048);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
    fill(disk);
    expect(await errorOf(server.client.cancel({ id: job!.id }))).toMatchObject({
      reason: "DISK_FULL",
    });
    expect((await server.client.get({ id: job!.id })).job!.status).toBe(Status.RUNNING);
    makeRoom(disk);
    const { job: ended } = await server.client.cancel({ id: job!.id });
    expect(ended!.status).toBe(Status.CANCELLED);
  });
});

describe.skipIf(!isRoot()).each<DiskType>(["tmpfs", "ext4"])("a full disk, %s", (type) => {
  test("no server runs: one starts, tells of ends, cancels and removes, and all is well", async () => {
    const disk = smallDisk(type, 40 * 1024);
    const stateDir = join(disk, "state");
    onTestFinished(() => endAll(stateDir));
    const run = async (...words: string[]) => {
      const ran = await procman(stateDir, ...words);
      expect(ran).toMatchObject({ code: 0 });
      return ran.stdout.trim();
    };
    const states = async () => {
      const jobs = JSON.parse(await run("ls", "-o", "json")) as JobLine[];
      return new Map(jobs.map(({ id, status, exitCode }) => [id, `${status} ${exitCode}`]));
    };
    const go = join(tempDir(), "go");
    const old = await run("run", "-d", "--", "echo", "old");
    const ending = await run("run", "-d", "--", "sh", "-c", exitAt(go, 7));
    const terminal = await run("run", "-d", "-t", "--", "sh", "-c", exitAt(go, 8));
    expect(reserveOf(stateDir)).toBe(RESERVE_BYTES);
    leave(disk, SPARE_BYTES);
    const hungry = await run("run", "-d", "--", "sh", "-c", HUNGRY);
    await untilFull(disk);
    await run("stop");
    // Nobody tells a server of these ends.
    writeFileSync(go, "");
    await eventually("the ends", async () => {
      const seen = await states();
      return seen.get(ending) === "failed 7" && seen.get(terminal) === "failed 8";
    });
    expect(reserveOf(stateDir)).toBeLessThan(RESERVE_BYTES);
    const refused = await procman(stateDir, "run", "--", "true");
    expect(refused).toMatchObject({ code: 125, stderr: expect.stringContaining("no space left") });
    expect((await states()).get(hungry)).toBe("running undefined");
    await run("cancel", hungry);
    // The next server learns it from what could be written.
    await run("stop");
    expect((await states()).get(hungry)).toBe("cancelled 143");
    await run("rm", hungry);
    makeRoom(disk);
    expect(await run("cleanup", "--older-than", "0s")).toContain(old);
    expect(await run("run", "--", "echo", "well")).toBe("well");
    await run("stop");
    expect(await run("ls", "-q")).not.toContain(hungry);
    expect(reserveOf(stateDir)).toBe(RESERVE_BYTES);
  });

  test("while a server runs: an end is known, and one job after another is cancelled", async () => {
    const disk = smallDisk(type, 40 * 1024);
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const { client } = server;
    const start = async (script: string) =>
      (await client.start({ command: "sh", args: ["-c", script] })).job!.id;
    const go = join(tempDir(), "go");
    const ending = await start(exitAt(go, 7));
    leave(disk, SPARE_BYTES);
    const hungry = await Promise.all([HUNGRY, HUNGRY, HUNGRY].map(start));
    await untilFull(disk);
    writeFileSync(go, "");
    expect((await client.wait({ id: ending })).job).toMatchObject({ exitCode: 7 });
    const restart = client.restart({ id: hungry[0] as string });
    expect(await errorOf(restart)).toMatchObject({ reason: "DISK_FULL" });
    for (const id of hungry) {
      const { job } = await client.cancel({ id });
      expect(job).toMatchObject({ status: Status.CANCELLED, exitCode: 143 });
    }
    await server.restart();
    for (const id of hungry) {
      expect((await server.client.get({ id })).job!.status).toBe(Status.CANCELLED);
      await server.client.remove({ id });
    }
    await server.client.start({ command: "true" });
  });

  test("a job that was never started is removed by a server that starts then", async () => {
    const disk = smallDisk(type, 40 * 1024);
    const server = TestServer.prepare({ stateDir: join(disk, "state") });
    await server.start({ env: { PROCMAN_CRASH_AT: "start:created" } });
    await expect(server.client.start({ command: "true" })).rejects.toThrow();
    await server.ended();
    fill(disk);
    await server.start();
    expect((await server.client.list({})).jobs).toEqual([]);
    expect(readdirSync(join(server.stateDir, "jobs"))).toEqual([]);
  });
});

test.skipIf(!isRoot())(
  "without an inode to spare a server starts, cancels and removes, which gives some back",
  async () => {
    const disk = ext4Disk(40 * 1024, "-N", "80");
    const server = await TestServer.start({ stateDir: join(disk, "state") });
    const { job: ended } = await server.client.start({ command: "true" });
    await server.client.wait({ id: ended!.id });
    const { job: running } = await server.client.start({ command: "sleep", args: ["1000"] });
    await server.kill();
    for (let n = 0; statfsSync(disk).ffree > 0; n += 1) writeFileSync(join(disk, `${n}`), "");
    await server.start();
    const { job: cancelled } = await server.client.cancel({ id: running!.id });
    expect(cancelled!.status).toBe(Status.CANCELLED);
    await server.client.remove({ id: ended!.id });
    await server.client.start({ command: "true" });
  },
);
