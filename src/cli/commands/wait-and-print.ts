import { isTerminal, type Job } from "../../contract/job.js";
import type { BoundedOutput, OutputPart, Procman } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import type { Cli } from "../cli.js";
import { byteCount } from "../format/job-facts.js";
import { RawView } from "../terminal/raw-view.js";
import type { CommandContext } from "./command-context.js";
import { followJob } from "./follow-job.js";
import type { JsonOption } from "./options.js";

const NEWLINE = 0x0a;

export interface WaitAndPrintOptions extends JsonOption {
  readonly waitMs: number;
  /** How much output to print, at most. Default: the API's. */
  readonly maxOutput?: number;
  readonly interruption: AbortSignal;
}

/**
 * Waits for a job's end for a time, and prints its output then, or a bounded part of it.
 * @returns the job as it then is, unless the user has detached
 */
export function waitAndPrint(
  context: CommandContext,
  client: Procman,
  { id }: Job,
  { waitMs: timeoutMs, maxOutput: maxBytes, json, interruption }: WaitAndPrintOptions,
): Promise<Job | undefined> {
  const { cli } = context;
  return followJob(context, { id, interruption }, async (signal) => {
    await client.wait(id, { timeoutMs, signal });
    const output = await client.readOutput(id, { ...defined({ maxBytes }), signal });
    if (json) {
      const { boundedOutputJson } = await import("../../wire/json.js");
      await cli.stdout.line(boundedOutputJson(output));
    } else await printOutput(output, cli);
    return output.job;
  });
}

/**
 * Prints the output, with a line of its own where some was left out, in the same stream:
 * who reads only that must not take the ends for neighbours.
 */
async function printOutput({ parts, job }: BoundedOutput, cli: Cli): Promise<void> {
  const view = new RawView(cli, { progress: false });
  let last: OutputPart | undefined;
  try {
    for (const part of parts) {
      const { stream, data, omittedBytes } = part;
      if (omittedBytes > 0) {
        const isWithinLine = last?.stream === stream && last.data.at(-1) !== NEWLINE;
        const note = cli[stream].paint("dim", `[${byteCount(omittedBytes)} left out]`);
        await view.show(stream, Buffer.from(`${isWithinLine ? "\n" : ""}${note}\n`));
      }
      await view.show(stream, data);
      last = part;
    }
  } finally {
    await view.close();
  }
  if (!isTerminal(job)) await cli.stderr.line(`procman: job ${job.id} has not ended yet`);
}
