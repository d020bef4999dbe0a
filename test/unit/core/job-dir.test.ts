import { expect, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";

// Jobs that run, the scripts and other versions of procman know the files by these names.
test("a job's files have the names that they have always had", () => {
  const dir = new JobDir("/state/jobs/abc");
  expect(dir.jobId).toBe("abc");
  const names = {
    [dir.record]: "state.json",
    [dir.log("stdout")]: "stdout.log",
    [dir.log("stderr")]: "stderr.log",
    [dir.firstOffsets]: "first-offsets",
    [dir.truncations]: "truncations",
    [dir.process]: "process",
    [dir.exit]: "exit",
    [dir.ended]: "ended",
    [dir.recorder]: "recorder",
    [dir.complaint]: "complaint",
    [dir.env]: "env",
    [dir.stopping]: "stopping",
    [dir.input]: "stdin.log",
    [dir.inputSenders]: "stdin.senders",
    [dir.inputClosed]: "stdin.closed",
    [dir.inputFifo]: "stdin.fifo",
    [dir.inputBell]: "stdin.bell",
    [dir.inputFeeder]: "stdin.feeder",
  };
  for (const [path, name] of Object.entries(names)) expect(path).toBe(`/state/jobs/abc/${name}`);
});
