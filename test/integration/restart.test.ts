import { readFileSync, writeFileSync } from "node:fs";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Status, Stream } from "../../gen/procman/v1/procman_pb.js";
import { readExitRecord } from "../../src/engine/local/runner/runner-records.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

test("a job survives kill -9 of the server, with the same pid, and is followed on", async () => {
  const server = await TestServer.start();
  const script = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.01; done; exit 3";
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", script],
    workDir: server.stateDir,
  });
  await eventually("some output", async () => {
    const seen = await server.client.get({ id: job!.id });
    return seen.job!.stdoutBytes > 20n;
  });
  await server.restart();
  const { job: after } = await server.client.get({ id: job!.id });
  expect(after).toMatchObject({ status: Status.RUNNING, pid: job!.pid });
  writeFileSync(`${server.stateDir}/stop`, "");
  const { job: ended } = await server.client.wait({ id: job!.id });
  expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 3, pid: job!.pid });
  const numbers = (await readOutput(server.client, job!.id)).toString().trim().split("\n");
  expect(numbers).toEqual(numbers.map((_, index) => String(index + 1)));
});

test.each([
  ["exit 7", { status: Status.FAILED, exitCode: 7, signal: "" }],
  ["exit 0", { status: Status.COMPLETED, exitCode: 0, signal: "" }],
  ["kill -9 $$", { status: Status.FAILED, exitCode: 137, signal: "SIGKILL" }],
  ["kill -TERM $$", { status: Status.FAILED, exitCode: 143, signal: "SIGTERM" }],
])("a job that ends by `%s` while no server runs is known afterwards", async (end, expected) => {
  const server = await TestServer.start();
  const { job } = await server.client.start({
    command: "sh",
    args: [
      "-c",
      `echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; echo err >&2; ${end}`,
    ],
    workDir: server.stateDir,
  });
  await server.kill();
  writeFileSync(`${server.stateDir}/go`, "");
  await eventually("the exit record", () =>
    readExitRecord(`${server.stateDir}/jobs/${job!.id}/exit`),
  );
  await server.start();
  const { job: after } = await server.client.get({ id: job!.id });
  expect(after).toMatchObject({ ...expected, pid: job!.pid, error: "" });
  expect((await readOutput(server.client, job!.id)).toString()).toBe("one\ntwo\n");
  expect((await readOutput(server.client, job!.id, Stream.STDERR)).toString()).toBe("err\n");
  for (let offset = 0; offset <= 8; offset += 1) {
    const rest = await readOutput(server.client, job!.id, Stream.STDOUT, BigInt(offset));
    expect(rest.toString()).toBe("one\ntwo\n".slice(offset));
  }
});

test("a time limit is not begun anew by the next server", async () => {
  const server = await TestServer.start();
  const startSleep = async (limitMs: number) => {
    const timeout = { seconds: BigInt(Math.floor(limitMs / 1000)), nanos: (limitMs % 1000) * 1e6 };
    const { job } = await server.client.start({ command: "sleep", args: ["1000"], timeout });
    return job!.id;
  };
  const limitMs = 3000;
  const startedAt = performance.now();
  const id = await startSleep(limitMs);
  await server.kill();
  await eventually("its time to be over", () => performance.now() - startedAt > limitMs);
  await server.start();
  // Half of that time begins now: it is over later.
  const otherId = await startSleep(limitMs / 2);
  const { job } = await server.client.wait({ id });
  expect(job).toMatchObject({ status: Status.FAILED, signal: "SIGTERM" });
  expect(job!.error).toBe(`timed out after ${limitMs} ms`);
  const { job: other } = await server.client.wait({ id: otherId });
  expect(timestampMs(job!.completedTime!)).toBeLessThan(timestampMs(other!.completedTime!));
});

test("a cancel is carried on by the next server", async () => {
  const server = await TestServer.start();
  const stubborn = await server.client.start({
    command: "sh",
    args: ["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"],
  });
  await eventually("the trap", async () => {
    const { job } = await server.client.get({ id: stubborn.job!.id });
    return job!.stdoutBytes > 0n;
  });
  const cancelling = server.client
    .cancel({ id: stubborn.job!.id, gracePeriod: { seconds: 1n, nanos: 0 } })
    .catch(() => "lost");
  await eventually("the cancel's record", () =>
    readFileSync(`${server.stateDir}/jobs/${stubborn.job!.id}/state.json`, "utf8").includes(
      "cancel",
    ),
  );
  await server.kill();
  expect(await cancelling).toBe("lost");
  await server.start();
  const { job: cancelled } = await server.client.wait({ id: stubborn.job!.id });
  expect(cancelled).toMatchObject({ status: Status.CANCELLED, signal: "SIGKILL" });
});

test("a second server on the same directory is refused and names the first", async () => {
  const server = await TestServer.start();
  const second = TestServer.prepare({ stateDir: server.stateDir });
  await second.start({ ready: false });
  expect(await second.ended()).not.toBe(0);
  expect(second.log).toContain(String(server.pid));
  // The first one is unharmed.
  await server.client.list({});
});

test("SIGTERM ends the server cleanly and leaves the jobs", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
  expect(await server.kill("SIGTERM")).toBe(0);
  await server.start();
  const { job: after } = await server.client.get({ id: job!.id });
  expect(after).toMatchObject({ status: Status.RUNNING, pid: job!.pid });
});
