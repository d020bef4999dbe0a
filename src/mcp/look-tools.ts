import * as z from "zod";
import { isTerminal, STATUSES } from "../contract/job.js";
import type { OutputStart, WaitUntil } from "../contract/procman.js";
import { invalidArgument } from "../contract/errors.js";
import { defined } from "../platform/defined.js";
import { JOB_SHAPE, jobFields, jobLine } from "./job-fields.js";
import { REPORT_SHAPE, report, reportText } from "./job-report.js";
import { ENDS, ID, MAX_BYTES, OUTPUT_START, WAIT_SECONDS } from "./tool-arguments.js";
import { toolResult } from "./tool-result.js";
import { addTool, READS, type ToolContext } from "./tools.js";
import { waitWithProgress } from "./wait-with-progress.js";

const DEFAULT_LISTED = 20;
const MAX_LISTED = 200;
const LISTED_COMMAND_CHARS = 200;
const WHOLE_COMMAND_CHARS = 20_000;

/** Adds the tools that change nothing. */
export function addLookTools(context: ToolContext): void {
  const { connection } = context;
  addTool(
    context,
    "list",
    {
      title: "List jobs",
      description:
        "Lists jobs, newest first: running ones and those that have ended, also from earlier sessions. Use it to find a job whose id you do not have.",
      input: {
        status: z.array(z.enum(STATUSES)).optional().describe('Only these: ["running"].'),
        labels: z
          .record(z.string(), z.string())
          .optional()
          .describe("Only jobs that have all of these labels."),
        name: z.string().optional().describe("Only jobs with this name."),
        limit: z
          .number()
          .int()
          .min(1)
          .max(MAX_LISTED)
          .default(DEFAULT_LISTED)
          .describe(`How many at most. Default ${DEFAULT_LISTED}.`),
        page_token: z.string().optional().describe("The next_page_token of the answer before."),
      },
      output: {
        jobs: z.array(z.object(JOB_SHAPE)),
        total: z.number().int().describe("How many match in all"),
        next_page_token: z.string().optional().describe("Where there are more"),
      },
      annotations: READS,
    },
    async ({ status, labels, name, limit, page_token: pageToken }, { signal }) => {
      const asked = defined({ statuses: status, labels, name, pageToken });
      const page = await connection.retrySafe(
        (client) => client.list({ ...asked, pageSize: limit, signal }),
        signal,
      );
      const jobs = page.jobs.map((job) => jobFields(job, LISTED_COMMAND_CHARS));
      const lines = jobs.map((job) => `${jobLine(job)}: ${job.command}`);
      const left = page.totalSize - jobs.length;
      const more = page.nextPageToken === "" ? undefined : page.nextPageToken;
      const tail =
        more === undefined
          ? []
          : [`${left} more match; call list with page_token ${JSON.stringify(more)}`];
      return toolResult(
        { jobs, total: page.totalSize, ...defined({ next_page_token: more }) },
        jobs.length === 0 ? "no such jobs" : [...lines, ...tail].join("\n"),
      );
    },
  );
  addTool(
    context,
    "get",
    {
      title: "Get a job",
      description:
        "Tells how a job is: status, exit code, how much output there is, progress. It returns at once; use wait to wait for the end, output for the output.",
      input: { id: ID },
      output: { job: z.object(JOB_SHAPE) },
      annotations: READS,
    },
    async ({ id }, { signal }) => {
      const found = await connection.retrySafe((client) => client.get(id, { signal }), signal);
      const job = jobFields(found, WHOLE_COMMAND_CHARS);
      const facts = Object.entries(job).map(([key, value]) => `${key}: ${factText(value)}`);
      return toolResult({ job }, facts.join("\n"));
    },
  );
  addTool(
    context,
    "output",
    {
      title: "Read output",
      description:
        "Returns output of a job that there is now, running or ended, as text without colours. Without offsets: of long output the beginning and the end. To see only what is new, pass the offsets of the answer before. To look for something in long output, run grep on it instead of reading all of it.",
      input: { id: ID, ...OUTPUT_START, max_bytes: MAX_BYTES, ends: ENDS },
      output: REPORT_SHAPE,
      annotations: READS,
    },
    async ({ id, max_bytes: maxBytes, ends, ...start }, { signal }) => {
      const from = outputStart(start);
      const isReadingOn = from.stdoutOffset !== undefined || from.stderrOffset !== undefined;
      const asked = { ...from, maxBytes, ends: ends ?? (isReadingOn ? "head" : "both") } as const;
      const output = await connection.retrySafe(
        (client) => client.readOutput(id, { ...asked, signal }),
        signal,
      );
      const told = report(output);
      return toolResult(told, reportText(told));
    },
  );
  addTool(
    context,
    "wait",
    {
      title: "Wait for a job",
      description:
        "Waits until a job has ended, or until wait_seconds have passed, and returns how it is and its output from the offsets on. With for_output or for_port it waits until a line of output matches or the job listens on that port: that a dev server is ready. Call it again while the job still runs.",
      input: {
        id: ID,
        wait_seconds: WAIT_SECONDS,
        for_output: z
          .string()
          .optional()
          .describe(
            'Wait for a line of output in which this regular expression (RE2) is found: "ready in \\\\d+ ms". All output counts, or what comes after the offsets.',
          ),
        for_port: z
          .number()
          .int()
          .min(0)
          .max(65_535)
          .optional()
          .describe("Wait until the job listens on this TCP port; 0: on any. Not with for_output."),
        ...OUTPUT_START,
        max_bytes: MAX_BYTES,
      },
      output: REPORT_SHAPE,
      annotations: READS,
    },
    async (args, call) => {
      const { for_output: pattern, for_port: port, max_bytes: maxBytes } = args;
      if (pattern !== undefined && port !== undefined) {
        throw invalidArgument("for_port", "cannot be given together with for_output");
      }
      const start = outputStart(args);
      const until = waitUntil(pattern, port, start);
      // Once: while this waits, another job may come to bear the name.
      const { id } = await connection.retrySafe((client) => client.get(args.id), call.signal);
      const waited = await waitWithProgress(connection, id, args.wait_seconds * 1000, call, until);
      const output = await connection.retrySafe(
        (client) => client.readOutput(id, { ...start, maxBytes }),
        call.signal,
      );
      const told = report(output, waited.outcome);
      const missed = until && !isMet(waited.outcome);
      const note = missed
        ? `${pattern === undefined ? "It does not listen on that port" : "No line has matched"}${isTerminal(waited) ? ", and the job has ended" : " yet"}.`
        : "";
      const whole = { ...told, next: [note, told.next].filter((text) => text !== "").join(" ") };
      return toolResult(whole, reportText(whole));
    },
  );
}

function outputStart(args: {
  stdout_offset?: number | undefined;
  stderr_offset?: number | undefined;
  stream?: "stdout" | "stderr" | undefined;
}): Omit<OutputStart, "tailLines"> {
  return defined({
    stdoutOffset: args.stdout_offset,
    stderrOffset: args.stderr_offset,
    streams: args.stream && [args.stream],
  });
}

function waitUntil(
  pattern: string | undefined,
  port: number | undefined,
  start: Omit<OutputStart, "tailLines">,
): WaitUntil | undefined {
  if (pattern !== undefined) return { type: "output", pattern, ...start };
  return port === undefined ? undefined : { type: "port", port };
}

function isMet(outcome: { readonly type: string } | undefined): boolean {
  return outcome?.type === "line" || outcome?.type === "port";
}

function factText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
