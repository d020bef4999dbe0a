import { expect, test } from "vitest";
import type { Job } from "../../../src/contract/job.js";
import {
  attachEventJson,
  jobJson,
  jobsEventJson,
  idJson,
  waitedJson,
  watchEventJson,
} from "../../../src/wire/json.js";
import { T0 } from "../client/some-job.js";

const job: Job = {
  id: "job1",
  requestId: "",
  command: "sleep",
  args: ["1"],
  env: {},
  clearEnv: false,
  workDir: "/",
  labels: {},
  mergeOutput: false,
  output: "file",
  pty: false,
  stdin: false,
  createdTime: T0,
  stdoutBytes: 0,
  stderrBytes: 0,
  stdoutFirstOffset: 0,
  stderrFirstOffset: 0,
  status: "pending",
};

const JOB =
  '{"id":"job1","requestId":"","command":"sleep","args":["1"],"envNames":[],"workDir":"/","labels":{},' +
  '"pid":0,"status":"pending","signal":"","error":"",' +
  '"createdTime":"2026-01-02T03:04:05.678Z","stdoutBytes":"0","stderrBytes":"0",' +
  '"mergeOutput":false,"containment":"unspecified","clearEnv":false,' +
  '"logLimitBytes":"0","stdoutFirstOffset":"0","stderrFirstOffset":"0","pty":false,"stdin":false,' +
  '"truncatedFields":[],"stdoutTruncations":0,"stderrTruncations":0,"missingLogs":[],"lastSignal":"","name":"","previousId":"","output":"file",' +
  '"umask":"","softLimits":{},"remainingProcesses":0,"endRemaining":false,"reason":""}';

const TIME = "2026-01-02T03:04:05.678Z";

/** Scripts read it: to the byte, and in this order. */
test.each([
  ["a job", jobJson(job), JOB],
  [
    "a chunk",
    attachEventJson({
      type: "chunk",
      stream: "stderr",
      offset: 7,
      data: Uint8Array.of(0, 255),
      seenTime: T0,
    }),
    `{"chunk":{"stream":"stderr","offset":"7","data":"AP8=","seenTime":"${TIME}"}}`,
  ],
  [
    "a line",
    watchEventJson({
      type: "line",
      stream: "stdout",
      text: "50%",
      offset: 0,
      nextOffset: 4,
      terminator: "cr",
      progress: { percent: 50, unit: "", text: "50%", etaMs: 1500 },
    }),
    '{"line":{"stream":"stdout","text":"50%","offset":"0","nextOffset":"4",' +
      '"terminator":"cr","progress":{"percent":50,"unit":"","eta":"1.500s","text":"50%"}}}',
  ],
  [
    "the beginning of output",
    attachEventJson({ type: "opened", job }),
    `{"opened":{"job":${JOB}}}`,
  ],
  ["the end of output", watchEventJson({ type: "ended", job }), `{"ended":{"job":${JOB}}}`],
  [
    "a wait for output",
    waitedJson({ ...job, outcome: { type: "searched", stdoutOffset: 5, stderrOffset: 0 } }),
    `{"job":${JOB},"searched":{"stdoutOffset":"5","stderrOffset":"0"}}`,
  ],
  [
    "a wait for a port",
    waitedJson({ ...job, outcome: { type: "port", port: 80 } }),
    `{"job":${JOB},"port":80}`,
  ],
  ["a wait for the end", waitedJson(job), `{"job":${JOB}}`],
  [
    "jobs",
    jobsEventJson({ type: "snapshot", jobs: [job], revision: "a.1" }),
    `{"snapshot":{"jobs":[${JOB}],"revision":"a.1","more":false}}`,
  ],
  [
    "a job that was removed from a list",
    jobsEventJson({ type: "removed", id: "job1", revision: "" }),
    '{"removed":{"id":"job1","revision":""}}',
  ],
  ["a job that rm removed", idJson("job1"), '{"id":"job1"}'],
])("--json of %s", (_what, line, expected) => {
  expect(line).toBe(expected);
});

test("what a terminal would act on is escaped, and the value is the same", () => {
  const command = "a\u009b31mb\u202ec\u200bd\u2028e\u{e0041}f\u007f";
  const line = jobJson({ ...job, command });
  expect(line).toMatch(/^[\x20-\x7e]*$/);
  expect(JSON.parse(line)).toMatchObject({ command });
});
