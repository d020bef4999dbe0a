import { Command, Option } from "commander";
import type { CommandContext } from "./command-context.js";
import { addJobsArgument, type LastOption } from "./job-argument.js";
import type { JsonOption } from "./options.js";

interface KillOptions extends JsonOption, LastOption {
  readonly signal?: string;
}

const HELP = `
This is "procman cancel --grace 0": SIGKILL ends every process of the job, which is
then "cancelled". With --signal it is "procman signal". To give a job time to end by
itself, use "procman cancel".

Examples:
  procman kill k3x
  procman kill -s HUP k3x`;

export function killCommand(context: CommandContext): Command {
  const description = "end jobs at once with SIGKILL, or send them a signal";
  return addJobsArgument(new Command("kill").description(description))
    .option("-s, --signal <signal>", "send only this signal, to the job's process group")
    .addOption(new Option("-9", "SIGKILL, as without it").hideHelp())
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], { signal, ...options }: KillOptions) =>
      context.forEachJob(context.allWords(given), options, async (client, id) => {
        const job =
          signal === undefined
            ? await client.cancel(id, { gracePeriodMs: 0 })
            : await client.signal(id, signal);
        await context.printJob(job, options);
      }),
    );
}
