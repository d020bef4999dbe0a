import { Command, Option } from "commander";
import type { CommandContext } from "./command-context.js";
import { cancelJobs } from "./cancel.js";
import {
  addRemainingOption,
  addSelection,
  type RemainingOption,
  type SelectionOptions,
} from "./job-argument.js";
import type { JsonOption } from "./options.js";
import { signalJobs } from "./signal.js";

interface KillOptions extends JsonOption, RemainingOption, SelectionOptions {
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
  const command = addSelection(new Command("kill").description(description), "every job that runs");
  return addRemainingOption(command, "of jobs that have ended, reach the processes that are left")
    .option("-s, --signal <signal>", "send only this signal, to the job's process group")
    .addOption(new Option("-9", "SIGKILL, as without it").hideHelp())
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], { signal, ...options }: KillOptions) =>
      signal === undefined
        ? cancelJobs(context, given, options, { gracePeriodMs: 0 })
        : signalJobs(context, context.allWords(given), options, signal),
    );
}
