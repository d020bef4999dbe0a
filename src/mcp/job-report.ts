import * as z from "zod";
import { isTerminal } from "../contract/job.js";
import type { BoundedOutput, OutputPart, WaitOutcome } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { JOB_SHAPE, jobFields, jobLine } from "./job-fields.js";
import { plainText } from "./plain-text.js";

/** What `run`, `wait` and `output` return: a job, and the output that was asked for. */
export const REPORT_SHAPE = {
  job: z.object(JOB_SHAPE),
  still_running: z.boolean(),
  stdout: z.string(),
  stderr: z.string(),
  stdout_offset: z.number().int().describe("Where to read on: pass it to wait or output"),
  stderr_offset: z.number().int(),
  omitted_bytes: z.number().int().describe("How much output was left out for its length"),
  matched_line: z.string().optional().describe("wait: the line that for_output matched"),
  port: z.number().int().optional().describe("wait: the port that the job listens on"),
  next: z.string().describe("What to do next"),
};

export type Report = z.infer<z.ZodObject<typeof REPORT_SHAPE>>;

/** @param outcome what has come of a wait's line or port */
export function report(output: BoundedOutput, outcome?: WaitOutcome): Report {
  const { job, parts, stdoutNextOffset, stderrNextOffset } = output;
  const fields: Omit<Report, "next"> = {
    job: jobFields(job),
    still_running: !isTerminal(job),
    stdout: textOf(parts, "stdout"),
    stderr: textOf(parts, "stderr"),
    stdout_offset: stdoutNextOffset,
    stderr_offset: stderrNextOffset,
    omitted_bytes: parts.reduce((sum, { omittedBytes }) => sum + omittedBytes, 0),
    ...defined({
      matched_line: outcome?.type === "line" ? plainText(outcome.line.text) : undefined,
      port: outcome?.type === "port" ? outcome.port : undefined,
    }),
  };
  return { ...fields, next: nextSteps(fields) };
}

export function reportText(report: Report): string {
  const { job, stdout, stderr, matched_line: line, port, next } = report;
  const pieces = [jobLine(job)];
  if (line !== undefined) pieces.push(`matched: ${line}`);
  if (port !== undefined) pieces.push(`it listens on port ${port}`);
  if (stdout !== "") pieces.push(`stdout:\n${stdout.replace(/\n$/, "")}`);
  if (stderr !== "") pieces.push(`stderr:\n${stderr.replace(/\n$/, "")}`);
  if (stdout === "" && stderr === "") pieces.push("no output");
  return [...pieces, next].filter((piece) => piece !== "").join("\n\n");
}

function nextSteps(report: Omit<Report, "next">): string {
  const { job, still_running: runs, stdout_offset: stdout, stderr_offset: stderr } = report;
  const from = `stdout_offset ${stdout}, stderr_offset ${stderr}`;
  const unread = job.stdout_bytes > stdout || job.stderr_bytes > stderr;
  const steps: string[] = [];
  if (report.omitted_bytes > 0) {
    steps.push(
      'Output was left out. To read it, call output with ends "head" and the offset where the gap begins.',
    );
  }
  if (unread) steps.push(`There is more output: call output with ${from}.`);
  if (runs) {
    steps.push(
      `The job still runs, and goes on by itself. To wait for it, call wait with id "${job.id}", ${from}: that returns only output that is new. cancel ends it.`,
    );
  }
  return steps.join(" ");
}

/** Returns the parts of one stream, with a note in each gap. */
function textOf(parts: readonly OutputPart[], wanted: OutputPart["stream"]): string {
  const decoder = new TextDecoder();
  let text = "";
  for (const { stream, offset, data, omittedBytes } of parts) {
    if (stream !== wanted) continue;
    if (omittedBytes > 0) {
      const isWithinLine = text !== "" && !text.endsWith("\n");
      const from = `${wanted}_offset ${offset - omittedBytes}`;
      text += `${isWithinLine ? "\n" : ""}[${omittedBytes} bytes left out, from ${from}]\n`;
    }
    text += plainText(decoder.decode(data));
  }
  return text;
}
