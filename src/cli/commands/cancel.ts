import { Command } from "commander";
import { defined } from "../../platform/defined.js";
import type { CommandContext } from "./command-context.js";
import { addJobsArgument, type LastOption } from "./job-argument.js";
import { type JsonOption, parseDurationMs } from "./options.js";

interface CancelOptions extends JsonOption, LastOption {
  readonly grace?: number;
}

const HELP = `
The job gets SIGTERM. If it has not ended after the grace period, SIGKILL ends it
and every process it has started. cancel returns when the job has ended.

Examples:
  procman cancel k3x
  procman cancel --grace 1m k3x
  procman cancel --grace 0 k3x       SIGKILL at once`;

export function cancelCommand(context: CommandContext): Command {
  const description = "end jobs: SIGTERM first, SIGKILL after the grace period";
  return addJobsArgument(new Command("cancel").description(description))
    .option(
      "-g, --grace <duration>",
      "how long a job may take to end after SIGTERM (default: 5s)",
      parseDurationMs,
    )
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], options: CancelOptions) =>
      context.forEachJob(context.allWords(given), options, async (client, id) => {
        const job = await client.cancel(id, defined({ gracePeriodMs: options.grace }));
        await context.printJob(job, options);
      }),
    );
}
