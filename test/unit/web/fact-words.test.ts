import { expect, test } from "vitest";
import type { Job } from "../../../src/contract/job.js";
import {
  exitFact,
  leaseFact,
  limitsFact,
  memoryFact,
  onEndResultFact,
  outputFact,
  softLimitsFact,
} from "../../../src/web/state/fact-words.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

const job = (rest: object): Job => new FakeProcman().addJob("job1", rest);
const time = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000);

test("the exit has the reason beside it", () => {
  const rest = { status: "failed", exitCode: 137, signal: "SIGKILL", reason: "OUT_OF_MEMORY" };
  expect(exitFact(job(rest))).toBe("137 SIGKILL, out of memory");
  expect(exitFact(job({}))).toBeUndefined();
});

test("limits are named, those of all processes first", () => {
  const limits = { memoryMaxBytes: 512_000_000, cpus: 1.5, pidsMax: 20, openFilesMax: 1024 };
  expect(limitsFact(job({ limits, nice: 5, timeoutMs: 60_000, umask: 0o22 }))).toBe(
    "512 MB of memory, 1.5 CPUs, 20 processes, 1,024 open files a process, 1m of time, nice 5, umask 022",
  );
  expect(limitsFact(job({ nice: 0 }))).toBeUndefined();
  expect(softLimitsFact(job({ softLimits: { cpu: -1, nofile: 10 } }))).toBe("nofile 10");
});

test("a lease tells how long it has to go", () => {
  const lease = { leaseMs: 30_000, leaseExpireTime: time(12.7) };
  expect(leaseFact(job(lease), time(0).getTime())).toBe(
    "30s; it ends in 12s unless that is renewed",
  );
  expect(leaseFact(job({ leaseMs: 30_000 }), 0)).toBe("30s");
  expect(leaseFact(job({}), 0)).toBeUndefined();
});

test("what became of what was run at the end is told", () => {
  const ran = { startedTime: time(0), completedTime: time(2), exitCode: 1, output: "" };
  expect(onEndResultFact(ran)).toBe("exit code 1 after 2s");
  expect(onEndResultFact({ error: "its runner was killed", output: "" })).toBe(
    "its runner was killed",
  );
});

test("memory and output are told as far as they are known", () => {
  const usage = { memoryBytes: 1000, memoryPeakBytes: 2000, measuredTime: new Date() };
  expect(memoryFact(job({ usage }))).toBe("1 kB, 2 kB at most");
  expect(memoryFact(job({}))).toBeUndefined();
  const sizes = {
    stdoutBytes: 3000,
    stdoutFirstOffset: 1000,
    truncations: { stdout: 2 },
    missingLogs: ["stderr"],
  };
  expect(outputFact(job({ ...sizes, output: "pipe" }))).toBe(
    "stdout 3 kB, the last 2 kB are kept, truncated by the command 2 times; stderr 0 B, its log was deleted, through pipes",
  );
});
