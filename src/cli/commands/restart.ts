import { Command } from "commander";
import { defined } from "../../platform/defined.js";
import { jobJson } from "../../wire/json.js";
import type { CommandContext } from "./command-context.js";
import { addJobsArgument, type LastOption } from "./job-argument.js";
import { type JsonOption, parseDurationMs } from "./options.js";

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
      "restart only once: where a job with this id was started before, print that one's id",
    )
    .option("--json", "print each new job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], options: RestartOptions) =>
      context.forEachJob(context.allWords(given), options, async (client, id) => {
        const { grace: gracePeriodMs, requestId, json } = options;
        const job = await client.restart(id, defined({ gracePeriodMs, requestId }));
        await stdout.line(json ? jobJson(job) : job.id);
      }),
    );
}
