import { expect, test } from "vitest";
import type { Job } from "../../../src/contract/job.js";
import type { BoundedOutput, OutputPart } from "../../../src/contract/procman.js";
import { jobFields, jobLine } from "../../../src/mcp/job-fields.js";
import { report, reportText } from "../../../src/mcp/job-report.js";
import { runningJob, T0 } from "../client/some-job.js";

const running = runningJob();
const failed: Job = {
  ...running,
  status: "failed",
  exitCode: 137,
  signal: "SIGKILL",
  error: "timed out after 500 ms",
  completedTime: new Date(T0.getTime() + 1240),
  startedTime: T0,
  pid: 7,
  containment: "session",
};

function part(text: string, offset = 0, omittedBytes = 0): OutputPart {
  return { stream: "stdout", offset, data: Buffer.from(text), omittedBytes };
}

function output(job: Job, parts: OutputPart[], next: number): BoundedOutput {
  return { job, parts, stdoutNextOffset: next, stderrNextOffset: 0 };
}

test("a gap in the output is told where it is, at the beginning of a line", () => {
  const told = report(output(failed, [part("abc"), part("xyz\n", 1000, 997)], 1004));
  expect(told.stdout).toBe("abc\n[997 bytes left out, from stdout_offset 3]\nxyz\n");
  expect(told.omitted_bytes).toBe(997);
  expect(told.next).toContain('ends "head"');
});

test("output that begins with a bracket is left as it is", () => {
  expect(report(output(failed, [part("a"), part("[b]", 1)], 4)).stdout).toBe("a[b]");
});

test("says how it ended in one line, and nothing to do", () => {
  const told = report(output({ ...failed, stdoutBytes: 0 }, [], 0));
  expect(told.next).toBe("");
  expect(reportText(told)).toBe(
    "job job1: failed, exit code 137, SIGKILL, timed out after 500 ms, after 1.2 s\n\nno output",
  );
});

test("of a job that runs, says how to wait on and read on", () => {
  const told = report(output({ ...running, stdoutBytes: 9 }, [part("a\n")], 2));
  expect(told.still_running).toBe(true);
  expect(told.next).toContain("There is more output: call output with stdout_offset 2");
  expect(told.next).toContain('call wait with id "job1", stdout_offset 2, stderr_offset 0');
});

test("a shell line is told as such, other commands as one would type them", () => {
  const command = (command: string, ...args: string[]) =>
    jobFields({ ...running, command, args }).command;
  expect(command("sh", "-c", "a | b")).toBe("a | b");
  expect(command("sh", "-c", "a", "b")).toBe("sh -c a b");
  expect(command("printf", "a b\n")).toBe("printf 'a b\n'");
  expect(command("x".repeat(2000))).toHaveLength(1000);
});

test("progress is in the line of a job that runs", () => {
  const progress = { percent: 42, text: "42% \x1b[1mdone", unit: "" };
  const line = jobLine(jobFields({ ...running, name: "web", progress }));
  expect(line).toMatch(/^job job1 \(web\): running, for [\d.]+ s, 42% done$/);
});
