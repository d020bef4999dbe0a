import { expect, test } from "vitest";
import { lineStarts } from "../../../src/logs/reading/line-starts.js";
import { BOTH_WHOLE } from "../../../src/logs/reading/log-file.js";
import { JobLogs } from "./job-logs.js";

test.each([
  ["the beginning", 0, 0],
  ["within a line", 3, 0],
  ["after a line break", 4, 4],
  ["after a \\r that is alone as yet", 9, 7],
  ["within a \\r\\n", 6, 4],
  ["after it", 7, 7],
  ["the end of a line that goes on", 11, 9],
  ["beyond the end", 50, 50],
])("%s", async (_, position, expected) => {
  const logs = JobLogs.started();
  logs.append("stdout", "one\nt\r\n2\rab");
  expect(await lineStarts(logs.dir, { stdout: position })).toEqual({ stdout: expected });
});

test("nothing before the first offset is read, and only streams that are asked for", async () => {
  const logs = JobLogs.started();
  logs.append("stderr", "one two");
  const starts = { ...BOTH_WHOLE, stderr: { firstOffset: 4 } };
  expect(await lineStarts(logs.dir, { stderr: 6 }, starts)).toEqual({ stderr: 4 });
  expect(await lineStarts(logs.dir, { stderr: 2 }, starts)).toEqual({ stderr: 2 });
  expect(await lineStarts(logs.dir, {})).toEqual({});
});
