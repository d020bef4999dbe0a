import * as z from "zod";
import { IF_RUNNING, MAX_OUTPUT_BYTES, OUTPUT_ENDS } from "../contract/procman.js";
import { STREAMS } from "../contract/job.js";

/*
 * The arguments of tools that are more than one's own. Durations are in seconds, sizes and
 * offsets in bytes. Where the API has such a field, it has the same name.
 */

/** Most clients give up on a call after a minute. */
export const DEFAULT_WAIT_SECONDS = 30;
const MAX_WAIT_SECONDS = 3600;
/** So that a slow answer is in time. */
const MIN_LEASE_SECONDS = 1;
/** About 5,000 tokens. */
export const DEFAULT_OUTPUT_BYTES = 20_000;

export const ID = z.string().min(1).describe("The job's id, or its name");

export const WAIT_SECONDS = z
  .number()
  .min(0)
  .max(MAX_WAIT_SECONDS)
  .default(DEFAULT_WAIT_SECONDS)
  .describe(
    `How long to wait at most, in seconds; then the job goes on and you get what there is so far. Default ${DEFAULT_WAIT_SECONDS}. Your client may end calls that take longer than 60 s; the job is not harmed by that.`,
  );

export const MAX_BYTES = z
  .number()
  .int()
  .min(1)
  .max(MAX_OUTPUT_BYTES)
  .default(DEFAULT_OUTPUT_BYTES)
  .describe(
    `How much output to return at most, in bytes, of stdout and stderr together. Default ${DEFAULT_OUTPUT_BYTES}.`,
  );

export const GRACE_SECONDS = z
  .number()
  .min(0)
  .optional()
  .describe("Seconds between SIGTERM and SIGKILL; 0: SIGKILL at once. Default 5.");

export const OUTPUT_START = {
  stdout_offset: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe("Only stdout from this byte on: the stdout_offset of the answer before. Default 0."),
  stderr_offset: z.number().int().min(0).optional().describe("The same for stderr. Default 0."),
  stream: z.enum(STREAMS).optional().describe("Only this stream. Default: both."),
};

export const ENDS = z
  .enum(OUTPUT_ENDS)
  .optional()
  .describe(
    'What to return of output that is longer than max_bytes: "both" ends, its "head" or its "tail". Default: "head" with an offset, to read on piece by piece; else "both".',
  );

/** What `start` and `run` say of the job. */
export const JOB_REQUEST = {
  command: z
    .string()
    .min(1)
    .describe(
      'A shell line, run by sh -c: "npm test 2>&1 | tail -50". With args it is the program\'s name or path instead, and no shell sees it.',
    ),
  args: z
    .array(z.string())
    .optional()
    .describe("The program's arguments, passed as they are. Only where no shell is wanted."),
  work_dir: z
    .string()
    .optional()
    .describe("The directory to run in. Default: the one that this server was started in."),
  env: z
    .record(z.string(), z.string())
    .optional()
    .describe("Environment variables, added to those of this server."),
  name: z
    .string()
    .optional()
    .describe(
      'A name to use in place of the id, such as "web": a-z, 0-9, ".", "_", "-". Only one running job can have it.',
    ),
  if_running: z
    .enum(IF_RUNNING)
    .optional()
    .describe(
      'With name, where a job of that name runs: "fail" (the default), or "return" that job and start nothing.',
    ),
  labels: z
    .record(z.string(), z.string())
    .optional()
    .describe("Labels to find the job by with list."),
  stdin: z
    .boolean()
    .optional()
    .describe("Keep its input open for send_input. Default false: it reads nothing."),
  pty: z
    .boolean()
    .optional()
    .describe(
      "Run it in a terminal of its own: for programs that want one. stdout and stderr are then one stream.",
    ),
  merge_output: z
    .boolean()
    .optional()
    .describe("Write stderr to stdout, in the order written, as 2>&1 does."),
  timeout_seconds: z
    .number()
    .positive()
    .optional()
    .describe("End the job when it has run for so long. Default: never."),
  lease_seconds: z
    .number()
    .min(MIN_LEASE_SECONDS)
    .optional()
    .describe(
      "For what is not to outlive this session: end the job when this server has been gone for so long. As long as it runs, it renews the lease. Default: the job goes on.",
    ),
  request_id: z
    .string()
    .optional()
    .describe("Start it only once: the same request with this id again returns the first job."),
};
