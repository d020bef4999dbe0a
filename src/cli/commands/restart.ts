import { Command } from "commander";
import type { Procman } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { jobJson } from "../../wire/json.js";
import type { CommandContext } from "./command-context.js";
import { resolveIdOrName } from "./find-jobs.js";
import { addJobsArgument, type LastOption, usageError } from "./job-argument.js";
import { type JsonOption, parseDurationMs, parseNonEmpty } from "./options.js";

interface RestartOptions extends JsonOption, LastOption {
  readonly grace?: number;
  readonly requestId?: string;
}

const HELP = `
A job that has not ended is ended first, as by "procman cancel". The new job has the
command, environment, directory, limits, labels and name of the old one, whatever this
shell's are, and an id of its own, which is printed. The old job stays on record.

Examples:
  procman restart web
  procman restart --grace 1m k3x
  procman logs -f $(procman restart web)`;

export function restartCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  const description = "end jobs and start them again as they were started; print the new ids";
  return addJobsArgument(new Command("restart").description(description))
    .option(
      "-g, --grace <duration>",
      "how long a job may take to end after SIGTERM (default: 5s)",
      parseDurationMs,
    )
    .option(
      "--request-id <id>",
      "restart only once: where a job with this id was started before, print that one's id; of a " +
        "single job, by its id or name",
      parseNonEmpty,
    )
    .option("--json", "print each new job as a JSON object")
    .addHelpText("after", HELP)
    .action((parsed: string[], options: RestartOptions) => {
      const { grace: gracePeriodMs, requestId, last, json } = options;
      const given = context.allWords(parsed);
      // Once it has been restarted, the last job is the new one.
      if (requestId !== undefined && (last || given.length > 1)) {
        throw usageError("--request-id is for a single job, by its id or name");
      }
      const restart = async (client: Procman, idOrName: string) => {
        const job = await client.restart(idOrName, defined({ gracePeriodMs, requestId }));
        await stdout.line(json ? jobJson(job) : job.id);
      };
      return context.forEachJob(given, options, restart, { resolveId: resolveIdOrName });
    });
}
