import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { JobDir } from "../../../src/core/job-dir.js";
import { expect, test } from "vitest";
import { FileLogs } from "../../../src/logs/file-logs.js";
import { resolveStart } from "../../../src/logs/reading/resolve-start.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { openFilesBelow } from "./held-resources.js";
import { JobLogs } from "./job-logs.js";

const output = new FileLogs();

function someLogs(): JobLogs {
  const logs = JobLogs.started();
  logs.append("stdout", "a\nbb\nccc\n");
  logs.append("stderr", "x\ny");
  return logs;
}

test.each([
  ["both streams from their beginning", {}, { stdout: 0, stderr: 0 }],
  ["an empty list is both", { streams: [] }, { stdout: 0, stderr: 0 }],
  ["one stream", { streams: ["stderr"] }, { stderr: 0 }],
  ["offsets", { stdoutOffset: 3, stderrOffset: 3 }, { stdout: 3, stderr: 3 }],
  ["tail", { tailLines: 1 }, { stdout: 5, stderr: 2 }],
  ["tail of one stream", { tailLines: 2, streams: ["stdout", "stdout"] }, { stdout: 2 }],
  ["tail of nothing: what is new", { tailLines: 0 }, { stdout: 9, stderr: 3 }],
  ["tail of more than there is", { tailLines: 100 }, { stdout: 0, stderr: 0 }],
  ["an offset behind the tail", { tailLines: 2, stdoutOffset: 7 }, { stdout: 7, stderr: 0 }],
  ["an offset before the tail", { tailLines: 1, stdoutOffset: 4 }, { stdout: 5, stderr: 2 }],
  [
    "an offset of a stream that is not asked for",
    { streams: ["stdout"], stderrOffset: 99 },
    { stdout: 0 },
  ],
] as const)("%s", async (_, start, expected) => {
  expect(await output.open(someLogs().dir).resolveStart(start)).toEqual(expected);
});

test("logs that are not there yet are empty", async () => {
  const { dir } = new JobLogs();
  expect(await output.open(dir).resolveStart({ tailLines: 5 })).toEqual({ stdout: 0, stderr: 0 });
  // Nobody knows how long it was.
  expect(await output.open(dir).resolveStart({ stdoutOffset: 1 })).toEqual({
    stdout: 0,
    stderr: 0,
  });
});

test("an offset behind the end names the field and both numbers, for each stream", async () => {
  const { dir } = someLogs();
  await expect(output.open(dir).resolveStart({ stdoutOffset: 10 })).rejects.toMatchObject({
    reason: "OFFSET_OUT_OF_RANGE",
    message: "stdout_offset: 10 is beyond the end of stdout, which has 9 bytes",
    violations: [
      { field: "stdout_offset", description: "10 is beyond the end of stdout, which has 9 bytes" },
    ],
  });
  await expect(
    output.open(dir).resolveStart({ stdoutOffset: 10, stderrOffset: 4, tailLines: 1 }),
  ).rejects.toMatchObject({
    violations: [{ field: "stdout_offset" }, { field: "stderr_offset" }],
  });
});

test.each([
  ["stdout_offset", { stdoutOffset: -1 }],
  ["stderr_offset", { stderrOffset: 1.5 }],
  ["tail_lines", { tailLines: -1 }],
  ["tail_lines", { tailLines: Number.NaN }],
])("%s must be a count", async (field, start) => {
  await expect(output.open(someLogs().dir).resolveStart(start)).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
    violations: [{ field }],
  });
});

test("other errors of the file system are errors", async () => {
  const file = join(tempDir(), "file");
  writeFileSync(file, "");
  await expect(output.open(new JobDir(file)).resolveStart({})).rejects.toMatchObject({
    reason: "STORAGE_UNAVAILABLE",
    message: expect.stringContaining(file),
  });
});

test.runIf(process.platform === "linux")("nothing stays open", async () => {
  const { dir } = someLogs();
  await output.open(dir).resolveStart({ tailLines: 1 });
  await output
    .open(dir)
    .resolveStart({ stdoutOffset: 10 })
    .catch(() => {});
  await output.open(dir).progress();
  await expect.poll(() => openFilesBelow(dir.path)).toEqual([]);
});

test("a log whose start moves on meanwhile begins there", async () => {
  let asked = 0;
  const moving = {
    get firstOffset() {
      asked += 1;
      return asked === 1 ? 0 : 7;
    },
  };
  const starts = { stdout: moving, stderr: { firstOffset: 0 } };
  expect(await resolveStart(someLogs().dir, { tailLines: 2 }, starts)).toEqual({
    stdout: 7,
    stderr: 0,
  });
});
