import { describe, expect, onTestFinished, test, type TestContext } from "vitest";
import { createProcmanClient } from "../../src/client/index.js";
import { ProcmanError } from "../../src/contract/errors.js";
import type { Limits, SoftLimits } from "../../src/contract/job.js";
import { run } from "../../src/contract/run.js";
import { errorOf } from "../helpers/errors.js";
import { isRoot } from "../helpers/machine.js";
import { asOrdinaryUser } from "../helpers/ordinary-user.js";
import { TestServer } from "../helpers/test-server.js";

const MIB = 1024 * 1024;

/*
 * With whatever cgroups this machine has; test/vm has a machine with those of version 2.
 */
describe.runIf(process.platform === "linux")("a job's limits", () => {
  const server = TestServer.shared();

  async function limited(
    script: string,
    limits: Limits,
    skip: TestContext["skip"],
    softLimits: SoftLimits = {},
  ) {
    const client = createProcmanClient({ socketPath: server.socketPath });
    onTestFinished(() => client.close());
    try {
      const words = { command: "sh", args: ["-c", script], limits, softLimits };
      const { job, parts } = await run(client, words);
      return { job, client, output: Buffer.concat(parts.map(({ data }) => data)).toString() };
    } catch (error) {
      if (!(error instanceof ProcmanError && error.reason === "LIMIT_NOT_SUPPORTED")) throw error;
      return skip(error.message);
    }
  }

  test("of memory: what needs more fails, and says why", async ({ skip }) => {
    const limits = { memoryMaxBytes: 24 * MIB };
    const { job } = await limited("exec tail /dev/zero", limits, skip);
    expect(job).toMatchObject({
      status: "failed",
      signal: "SIGKILL",
      reason: "OUT_OF_MEMORY",
      error: "out of memory: the kernel ended a process of the job at its limit of 25165824 bytes",
      limits,
    });
    expect(job.usage?.memoryPeakBytes).toBeGreaterThan(20 * MIB);
    expect(job.usage?.memoryPeakBytes).toBeLessThanOrEqual(24 * MIB);
  });

  test("of processes, without the runner", async ({ skip }) => {
    const { job } = await limited("sleep 0.01 & sleep 0.01 & wait", { pidsMax: 2 }, skip);
    expect(job).toMatchObject({ status: "failed", limits: { pidsMax: 2 } });
    const { output } = await limited("echo one", { pidsMax: 1 }, skip);
    expect(output).toBe("one\n");
  });

  test("of open files, both of each process", async ({ skip }) => {
    const limits = { openFilesMax: 32 };
    // As `run` asks for those of the shell that it was called in.
    for (const softLimits of [{}, { nofile: 100 }]) {
      const { output } = await limited("ulimit -S -n; ulimit -H -n", limits, skip, softLimits);
      expect(output).toBe("32\n32\n");
    }
  });

  test("are the next job's too, when it is restarted", async ({ skip }) => {
    const limits = { cpus: 0.5, pidsMax: 50 };
    const { job, client } = await limited("true", limits, skip);
    expect(await client.restart(job.id)).toMatchObject({ limits });
  });
});

test("a limit that cannot be had is refused, and nothing runs", async () => {
  if (!isRoot() || process.platform !== "linux") return;
  const server = await TestServer.start(asOrdinaryUser());
  const limits = { memoryMaxBytes: BigInt(24 * MIB), cpus: 1, pidsMax: 5, openFilesMax: 64n };
  const error = await errorOf(server.client.start({ command: "true", limits }));
  expect(error).toMatchObject({
    code: "FailedPrecondition",
    reason: "LIMIT_NOT_SUPPORTED",
    fields: ["limits.memory_max_bytes", "limits.cpus", "limits.pids_max"],
    message: expect.stringMatching(/memory controller.*cpu controller.*pids controller/),
  });
  expect((await server.client.list({})).totalSize).toBe(0);
});
