import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

const short = { seconds: 0n, nanos: 100_000_000 };

const server = TestServer.shared();

async function startReady(script: string): Promise<string> {
  const { job } = await server.client.start({ command: "bash", args: ["-c", script] });
  await eventually("its first output", async () => {
    const seen = await server.client.get({ id: job!.id });
    return seen.job!.stdoutBytes > 0n;
  });
  return job!.id;
}

test("ends a job politely", async () => {
  const id = await startReady(
    "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done",
  );
  const { job } = await server.client.cancel({ id });
  // Cancelled, whatever the exit code.
  expect(job).toMatchObject({ status: Status.CANCELLED, exitCode: 0, signal: "" });
  expect((await readOutput(server.client, id)).toString()).toBe("ready\nbye\n");
});

test("ends one that ignores SIGTERM, with its grandchild, after the grace period", async () => {
  const script = "trap '' TERM; (sleep 1000 & echo $!; wait) & wait; sleep 1000";
  const id = await startReady(script);
  const grandchild = Number(await firstLine(id));
  const { job } = await server.client.cancel({ id, gracePeriod: short });
  expect(job).toMatchObject({ status: Status.CANCELLED, exitCode: 137, signal: "SIGKILL" });
  expect(isRunning(grandchild)).toBe(false);
});

test("a grace period of 0 kills at once", async () => {
  const id = await startReady("trap 'echo polite' TERM; echo ready; while :; do sleep 0.02; done");
  const { job } = await server.client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 0 } });
  expect(job).toMatchObject({ status: Status.CANCELLED, signal: "SIGKILL" });
  expect((await readOutput(server.client, id)).toString()).toBe("ready\n");
});

test("two cancels at once both come back with the job cancelled", async () => {
  const id = await startReady("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  const { client } = server;
  const answers = await Promise.all([
    client.cancel({ id, gracePeriod: { seconds: 60n, nanos: 0 } }),
    client.cancel({ id, gracePeriod: short }),
  ]);
  expect(answers.map(({ job }) => job!.status)).toEqual([Status.CANCELLED, Status.CANCELLED]);
});

test("goes on when the caller leaves", async () => {
  const id = await startReady("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  const leave = new AbortController();
  const call = server.client.cancel({ id, gracePeriod: short }, { signal: leave.signal });
  await eventually("the cancel's record", () =>
    readFileSync(`${server.stateDir}/jobs/${id}/state.json`, "utf8").includes('"cancel"'),
  );
  leave.abort();
  await errorOf(call);
  const { job } = await server.client.wait({ id });
  expect(job).toMatchObject({ status: Status.CANCELLED });
});

describe("is refused", () => {
  test.each([
    ["for an ended job", "FailedPrecondition", "JOB_NOT_RUNNING"],
    ["for an unknown job", "NotFound", "JOB_NOT_FOUND"],
  ])("%s", async (_name, code, reason) => {
    const { job } = await server.client.start({ command: "true" });
    await server.client.wait({ id: job!.id });
    const id = reason === "JOB_NOT_FOUND" ? "nonesuch" : job!.id;
    expect(await errorOf(server.client.cancel({ id }))).toMatchObject({ code, reason });
  });

  test("for a negative grace period", async () => {
    const id = await startReady("echo ready; sleep 1000");
    const error = await errorOf(
      server.client.cancel({ id, gracePeriod: { seconds: -1n, nanos: 0 } }),
    );
    expect(error).toMatchObject({ reason: "INVALID_ARGUMENT", fields: ["grace_period"] });
    expect((await server.client.get({ id })).job!.status).toBe(Status.RUNNING);
  });
});

async function firstLine(id: string): Promise<string> {
  for await (const { event } of server.client.watch({ id })) {
    if (event.case === "line") return event.value.text;
  }
  throw new Error("the job ended without a line");
}

/** A zombie that nobody asks about has ended. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
