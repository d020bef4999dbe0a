import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { Job } from "../contract/job.js";
import { defined } from "../platform/defined.js";
import { JOB_SHAPE, jobFields, jobLine } from "./job-fields.js";
import { REPORT_SHAPE, report, reportText } from "./job-report.js";
import type { JobRequest } from "./mcp-host.js";
import { JOB_REQUEST, MAX_BYTES, WAIT_SECONDS } from "./tool-arguments.js";
import { toolResult } from "./tool-result.js";
import { addTool, RUNS_COMMANDS, type ToolContext } from "./tools.js";
import { waitWithProgress } from "./wait-with-progress.js";

type RequestArguments = z.infer<z.ZodObject<typeof JOB_REQUEST>>;

/** Adds the tools that start commands. */
export function addStartTools(context: ToolContext): void {
  const { connection, server } = context;
  addTool(
    context,
    "run",
    {
      title: "Run a command",
      description:
        "Runs a command, waits for its end, and returns its exit code and its output, of a long one the beginning and the end. Use it for what ends by itself: builds, tests, scripts. Where the command takes longer than wait_seconds it goes on, also when you or this server end, and you get its id to wait for it again.",
      input: { ...JOB_REQUEST, wait_seconds: WAIT_SECONDS, max_bytes: MAX_BYTES },
      output: REPORT_SHAPE,
      annotations: RUNS_COMMANDS,
    },
    async ({ wait_seconds: waitSeconds, max_bytes: maxBytes, ...request }, call) => {
      const { job } = await start(context, request);
      const { id } = job;
      await waitWithProgress(connection, id, waitSeconds * 1000, call);
      const output = await connection.retrySafe(
        (client) => client.readOutput(id, { maxBytes }),
        call.signal,
      );
      const told = report(output);
      return toolResult(told, reportText(told));
    },
  );
  addTool(
    context,
    "start",
    {
      title: "Start a command",
      description:
        'Starts a command in background and returns at once with its id. Use it for what runs on: dev servers, watchers, long jobs. It goes on also when you or this server end. Then wait with for_port or for_output until it is ready, or output to see what it has written. Give it a name with if_running "return" to have it once, whoever asks.',
      input: JOB_REQUEST,
      output: {
        job: z.object(JOB_SHAPE),
        started: z.boolean().describe("false: it ran already, and was returned by its name"),
        next: z.string(),
      },
      annotations: RUNS_COMMANDS,
    },
    async (request) => {
      const { job, isFound } = await start(context, request);
      const fields = jobFields(job);
      const next = `wait with id "${job.id}" waits for its end or, with for_port or for_output, until it is ready. output shows what it has written, cancel ends it.`;
      const line = `${jobLine(fields)}${isFound ? "; it ran already, nothing was started" : ""}`;
      return toolResult({ job: fields, started: !isFound, next }, `${line}\n\n${next}`);
    },
  );

  async function start(
    { host, connection, leases }: ToolContext,
    request: RequestArguments,
  ): Promise<{ job: Job; isFound: boolean }> {
    // Not with the call's signal: a job that is being started would be nobody's.
    const asked = jobRequest(request, host.labels);
    const job = await connection.retrySafe((client) => host.start(client, asked));
    if (asked.leaseMs !== undefined) leases.keep(job);
    server.sendResourceListChanged();
    return { job, isFound: job.requestId !== asked.requestId };
  }
}

function jobRequest(
  args: RequestArguments,
  labels: Readonly<Record<string, string>>,
): JobRequest & { readonly requestId: string } {
  const words =
    args.args === undefined
      ? { command: "sh", args: ["-c", args.command] }
      : { command: args.command, args: args.args };
  const { env, name, stdin, pty } = args;
  return {
    ...words,
    labels: { ...labels, ...args.labels },
    // It makes the call safe to repeat over another connection.
    requestId: args.request_id ?? randomUUID(),
    ...defined({
      env,
      name,
      stdin,
      pty,
      workDir: args.work_dir,
      ifRunning: args.if_running,
      mergeOutput: args.merge_output,
      timeoutMs: ms(args.timeout_seconds),
      leaseMs: ms(args.lease_seconds),
    }),
  };
}

function ms(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.ceil(seconds * 1000);
}
