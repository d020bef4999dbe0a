import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { Job } from "../contract/job.js";
import { isTerminal } from "../contract/job.js";
import { defined } from "../platform/defined.js";
import { JOB_SHAPE, jobFields, jobLine } from "./job-fields.js";
import { GRACE_SECONDS, ID } from "./tool-arguments.js";
import { toolResult } from "./tool-result.js";
import { addTool, ENDS_JOBS, type ToolContext } from "./tools.js";

/** What a tool returns that has changed a job. */
const CHANGED = { job: z.object(JOB_SHAPE), next: z.string() };

/** Adds the tools that change jobs. None of them ends with the call, lest half of it is done. */
export function addControlTools(context: ToolContext): void {
  const { connection, server, leases } = context;
  addTool(
    context,
    "send_input",
    {
      title: "Send input",
      description:
        'Writes to the input of a job that was started with stdin: true: answers a prompt, or feeds a REPL. The text is sent as it is: end a line with "\\n". To see the answer, call wait with for_output, or output, with the offsets that this returns.',
      input: {
        id: ID,
        text: z.string().default("").describe('What to send: "yes\\n". At most 1 MiB.'),
        close: z
          .boolean()
          .default(false)
          .describe("Close the input after it: the command then reads end of file."),
      },
      output: {
        job: z.object(JOB_SHAPE),
        stdout_offset: z
          .number()
          .int()
          .describe("What comes after this byte is later than the input"),
        stderr_offset: z.number().int(),
        next: z.string(),
      },
      annotations: { ...ENDS_JOBS, destructiveHint: false },
    },
    async ({ id: idOrName, text, close }) => {
      const job = await find(idOrName);
      const data = new TextEncoder().encode(text);
      await connection.once((client) => client.sendInput(job.id, { data, close }));
      const from = `stdout_offset ${job.stdoutBytes}, stderr_offset ${job.stderrBytes}`;
      const next = `To see what it answers, call output or wait with id "${job.id}", ${from}.`;
      const sent = `sent ${data.length} bytes${close ? ", and closed the input" : ""}`;
      const offsets = { stdout_offset: job.stdoutBytes, stderr_offset: job.stderrBytes };
      return toolResult({ job: jobFields(job), ...offsets, next }, `${sent}\n\n${next}`);
    },
  );
  addTool(
    context,
    "cancel",
    {
      title: "Cancel a job",
      description:
        "Ends a job and all its processes: SIGTERM, and SIGKILL after grace_seconds. Returns when it has ended. Its record and output stay until it is removed. With include_remaining also of a job that has ended: what it has left behind.",
      input: {
        id: ID,
        grace_seconds: GRACE_SECONDS,
        include_remaining: z
          .boolean()
          .default(false)
          .describe("Where the job has ended, end the processes that it has left behind."),
      },
      output: CHANGED,
      annotations: ENDS_JOBS,
    },
    async ({ id: idOrName, grace_seconds: grace, include_remaining: includeRemaining }) => {
      const { id } = await find(idOrName);
      const asked = { includeRemaining, ...defined({ gracePeriodMs: ms(grace) }) };
      return changed(await connection.once((client) => client.cancel(id, asked)));
    },
  );
  addTool(
    context,
    "restart",
    {
      title: "Restart a job",
      description:
        "Ends a job if it runs, and starts a new one as it was started: same command, environment, directory, labels and name. Returns the new job, which has an id of its own.",
      input: { id: ID, grace_seconds: GRACE_SECONDS },
      output: CHANGED,
      annotations: ENDS_JOBS,
    },
    async ({ id: idOrName, grace_seconds: grace }) => {
      // Safe to repeat over another connection, and by a name: the server knows what it meant.
      const asked = { requestId: randomUUID(), ...defined({ gracePeriodMs: ms(grace) }) };
      const job = await connection.retrySafe((client) => client.restart(idOrName, asked));
      leases.keepRestarted(job);
      server.sendResourceListChanged();
      return changed(job);
    },
  );
  addTool(
    context,
    "signal",
    {
      title: "Signal a job",
      description:
        "Sends a signal to a job's processes: SIGINT as Ctrl-C does, SIGHUP to reload, STOP and CONT to pause it and have it go on. To end a job use cancel, which also reaches processes that ignore the signal.",
      input: {
        id: ID,
        signal: z.string().min(1).describe('The name or number: "SIGINT", "HUP", "9".'),
      },
      output: CHANGED,
      annotations: ENDS_JOBS,
    },
    async ({ id: idOrName, signal }) => {
      const { id } = await find(idOrName);
      return changed(await connection.once((client) => client.signal(id, signal)));
    },
  );
  addTool(
    context,
    "remove",
    {
      title: "Remove a job",
      description:
        "Deletes a job that has ended, with its record and all of its output. With cancel it ends it first.",
      input: {
        id: z.string().min(1).describe("The job's id; its name is not taken here"),
        cancel: z
          .boolean()
          .default(false)
          .describe("End it first if it runs, and what it has left behind."),
      },
      output: { removed_id: z.string() },
      annotations: ENDS_JOBS,
    },
    async ({ id, cancel }) => {
      if (!cancel) await connection.once((client) => client.remove(id));
      else {
        const { results } = await connection.once((client) =>
          client.removeJobs({ ids: [id] }, { cancel: true, includeRemaining: true }),
        );
        for (const result of results) if (result.type === "failed") throw result.error;
      }
      server.sendResourceListChanged();
      return toolResult({ removed_id: id }, `removed ${id}`);
    },
  );

  /** Also makes sure that a server is there, before what can be done once only. */
  function find(idOrName: string): Promise<Job> {
    return connection.retrySafe((client) => client.get(idOrName));
  }
}

function changed(job: Job) {
  const fields = jobFields(job);
  const next = isTerminal(job)
    ? "output shows what it has written; remove deletes it."
    : `It runs. wait with id "${job.id}" waits for its end, output shows what it writes.`;
  return toolResult({ job: fields, next }, `${jobLine(fields)}\n\n${next}`);
}

function ms(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}
