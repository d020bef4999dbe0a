import { describe, expect, test } from "vitest";
import type { Job } from "../../src/contract/job.js";
import type { RunOptions } from "../../src/contract/run.js";
import { eventually } from "../helpers/eventually.js";
import { canEmulate, VirtualMachine } from "../helpers/virtual-machine.js";

const MIB = 1024 * 1024;

/** Waits for its input to end; then it needs all memory there is. */
const GREEDY = { command: "sh", args: ["-c", "cat >/dev/null; exec tail /dev/zero"], stdin: true };

const TIMEOUT_MS = 240_000;

describe.skipIf(!canEmulate())("on a machine with cgroups of version 2", () => {
  const machine = VirtualMachine.shared();
  const usageOf = async (id: string) => (await machine.client.get(id)).usage;

  test(
    "a job that needs more memory than its limit fails, and says why",
    async () => {
      const limits = { memoryMaxBytes: 24 * MIB };
      const { job } = await machine.run("exec tail /dev/zero", { limits });
      expect(job).toMatchObject({
        status: "failed",
        signal: "SIGKILL",
        reason: "OUT_OF_MEMORY",
        error:
          "out of memory: the kernel ended a process of the job at its limit of 25165824 bytes",
        containment: "cgroup",
        limits,
      });
      expect(job.usage?.memoryPeakBytes).toBeLessThanOrEqual(24 * MIB);
      expect(job.usage?.memoryPeakBytes).toBeGreaterThan(20 * MIB);
      // SIGKILL alone is no sign of it.
      const killed = await machine.run("kill -9 $$", { limits });
      expect(killed.job).toMatchObject({ status: "failed", signal: "SIGKILL" });
      expect(killed.job).not.toHaveProperty("reason");
    },
    TIMEOUT_MS,
  );

  test(
    "a child that was ended for want of memory is told of where its command fails by it",
    async () => {
      const limits = { memoryMaxBytes: 24 * MIB };
      const { job } = await machine.run("tail /dev/zero; exit 3", { limits });
      expect(job).toMatchObject({ status: "failed", exitCode: 3, reason: "OUT_OF_MEMORY" });
      const coped = await machine.run("tail /dev/zero; exit 0", { limits });
      expect(coped.job).toMatchObject({ status: "completed" });
    },
    TIMEOUT_MS,
  );

  test(
    "no more processes than the limit, and the runner is not among them",
    async () => {
      const limited = (pidsMax: number) =>
        machine.run("sleep 0.1 & sleep 0.1 & wait; echo forked", { limits: { pidsMax } });
      expect((await limited(3)).output).toBe("forked\n");
      const { job } = await limited(2);
      expect(job).toMatchObject({ status: "failed", limits: { pidsMax: 2 } });
      // A command alone needs no more than one.
      expect((await machine.run("echo one", { limits: { pidsMax: 1 } })).output).toBe("one\n");
    },
    TIMEOUT_MS,
  );

  test(
    "no more processor time than the limit",
    async () => {
      const limits = { cpus: 0.2 };
      const { id } = await machine.client.start({
        command: "sh",
        args: ["-c", "while :; do :; done"],
        limits,
      });
      const before = await eventually("some time", async () => {
        const usage = await usageOf(id);
        return (usage?.cpuTimeMs ?? 0) > 100 ? usage : undefined;
      });
      const after = await eventually("more of it", async () => {
        const usage = await usageOf(id);
        return (usage?.cpuTimeMs ?? 0) > before.cpuTimeMs! + 800 ? usage : undefined;
      });
      // The emulator's clocks are only about right on a busy machine.
      const elapsedMs = after.measuredTime.getTime() - before.measuredTime.getTime();
      expect((after.cpuTimeMs! - before.cpuTimeMs!) / elapsedMs).toBeLessThan(0.6);
      await machine.client.cancel(id, { gracePeriodMs: 0 });
    },
    TIMEOUT_MS,
  );

  test(
    "the limits hold and are told of, whoever has started the server since, and for the next job",
    async () => {
      const options = { ...GREEDY, limits: { memoryMaxBytes: 24 * MIB, openFilesMax: 64 } };
      const { id } = await machine.client.start(options);
      const { pid } = (await machine.client.get(id)) as Extract<Job, { status: "running" }>;
      // The server's own process is the only other one that Node runs.
      await machine.run("killall -9 node || :", { requestId: "kill", waitMs: 0 });
      await machine.client.sendInput(id, { close: true, offset: 0 });
      const ended = await machine.client.wait(id, { timeoutMs: 60_000 });
      expect(ended).toMatchObject({
        pid,
        status: "failed",
        reason: "OUT_OF_MEMORY",
        limits: options.limits,
      });
      const { limits } = await machine.client.restart(id);
      expect(limits).toEqual(options.limits);
    },
    TIMEOUT_MS,
  );

  test(
    "the usage of a job is what its cgroup says, and the last of it is kept",
    async () => {
      const script = "dd if=/dev/zero of=/state/x bs=1M count=20; sync; rm /state/x; cat";
      const { id } = await machine.client.start({
        command: "sh",
        args: ["-c", script],
        stdin: true,
      });
      const usage = await eventually("what was written", async () => {
        const now = await usageOf(id);
        return (now?.writtenBytes ?? 0) >= 20 * MIB && now?.processes === 2 ? now : undefined;
      });
      expect(usage.memoryPeakBytes).toBeGreaterThan(20 * MIB);
      expect(usage.memoryBytes).toBeLessThan(usage.memoryPeakBytes!);
      await machine.client.sendInput(id, { close: true });
      const ended = await machine.client.wait(id);
      expect(ended.usage).toMatchObject({ memoryPeakBytes: expect.any(Number) });
      expect(ended.usage?.writtenBytes).toBeGreaterThanOrEqual(20 * MIB);
      expect(ended.usage?.cpuTimeMs).toBeGreaterThanOrEqual(usage.cpuTimeMs!);
      expect(ended.usage).not.toHaveProperty("memoryBytes");
    },
    TIMEOUT_MS,
  );

  test(
    "what leaves the session stays in the cgroup, and Cancel ends it",
    async () => {
      const args = ["-c", "setsid sleep 4321 & exec sleep 1234"];
      const { id } = await machine.client.start({ command: "sh", args });
      await eventually("its processes", async () => (await usageOf(id))?.processes === 2);
      await machine.client.cancel(id);
      expect((await machine.run("ps | grep '[s]leep 4321'")).output).toBe("");
    },
    TIMEOUT_MS,
  );

  test(
    "in a container, a server moves to a cgroup of its own with the runners of its jobs",
    async () => {
      const serve = "node /app/dist/bin/procman.cjs serve --state-dir /tmp/inner --listen none";
      const container = `
        mkdir /sys/fs/cgroup/box
        echo 0 >/sys/fs/cgroup/box/cgroup.procs
        exec unshare --cgroup --mount sh -c '
          umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec ${serve}'`;
      const { id } = await machine.client.start({ command: "sh", args: ["-c", container] });
      const procman = "node /app/dist/bin/procman.cjs";
      const { output } = await machine.run(
        `export PROCMAN_STATE_DIR=/tmp/inner
        exec 2>/dev/null
        until [ -S /tmp/inner/procman.sock ]; do sleep 0.1; done
        ${procman} run --name long -d -- sleep 4321 >/dev/null
        cat /sys/fs/cgroup/box/cgroup.procs | wc -l
        ${procman} run --memory 24MB -- tail /dev/zero
        ${procman} get --last | grep -o OUT_OF_MEMORY
        cat /sys/fs/cgroup/box/cgroup.procs | wc -l
        ${procman} cancel long >/dev/null
        ${procman} ls --all --name long --format '{status}'`,
        { waitMs: 120_000 },
      );
      // The server, the runner of the one that runs and the one that waits; then none.
      expect(output.split("\n")).toEqual(["3", "OUT_OF_MEMORY", "0", "cancelled", ""]);
      await machine.client.cancel(id);
    },
    TIMEOUT_MS,
  );

  test(
    "after a power cut, the job that ran is orphaned, with the reason; what had ended is known",
    async () => {
      const ended = await machine.run("echo known; exit 7");
      const running: Partial<RunOptions> = { limits: { memoryMaxBytes: 24 * MIB }, waitMs: 0 };
      const { job } = await machine.run("echo begun; sleep 1000", running);
      await machine.switchOff();
      await machine.switchOn();
      expect(await machine.client.get(ended.job.id)).toMatchObject({
        status: "failed",
        exitCode: 7,
      });
      expect(await machine.client.get(job.id)).toMatchObject({
        status: "orphaned",
        error: "the machine was restarted while the command ran",
      });
      expect((await machine.run("cat /proc/sys/kernel/random/boot_id")).job.status).toBe(
        "completed",
      );
    },
    TIMEOUT_MS,
  );
});
