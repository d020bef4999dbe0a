import { Command } from "commander";
import type { Procman } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import type { CommandContext } from "./command-context.js";
import {
  addRemainingOption,
  addSelection,
  remainingOf,
  type RemainingOption,
  type SelectionOptions,
  selectionOf,
} from "./job-argument.js";
import { type JsonOption, parseDurationMs } from "./options.js";

interface CancelOptions extends JsonOption, RemainingOption, SelectionOptions {
  readonly grace?: number;
}

const HELP = `
The job gets SIGTERM. If it has not ended after the grace period, SIGKILL ends it
and every process it has started. cancel returns when the job has ended.

--label, --status, --name and --all select jobs that have not ended.

A command may end and leave processes behind, as a daemon does. "procman get" tells of
them. --remaining ends those of jobs that have ended, too, and changes no job's status.

Examples:
  procman cancel k3x web
  procman cancel --label team=ml
  procman cancel --remaining k3x
  procman cancel --grace 1m k3x
  procman cancel --grace 0 k3x       SIGKILL at once`;

export function cancelCommand(context: CommandContext): Command {
  const description = "end jobs: SIGTERM first, SIGKILL after the grace period";
  const command = addSelection(
    new Command("cancel").description(description),
    "every job that runs",
  );
  return addRemainingOption(command, "of jobs that have ended, end the processes that are left")
    .option(
      "-g, --grace <duration>",
      "how long a job may take to end after SIGTERM (default: 5s)",
      parseDurationMs,
    )
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], options: CancelOptions) =>
      cancelJobs(context, given, options, defined({ gracePeriodMs: options.grace })),
    );
}

/** How many jobs are cancelled at a time: each may take its whole grace period. */
const CONCURRENCY = 32;

/** Cancels the jobs that are given or selected. */
export function cancelJobs(
  context: CommandContext,
  parsed: readonly string[],
  options: JsonOption & RemainingOption & SelectionOptions,
  grace: { readonly gracePeriodMs?: number },
): Promise<void> {
  const how = { ...grace, ...remainingOf(options) };
  const given = context.allWords(parsed);
  const selection = selectionOf(given, options);
  if (selection) {
    return context.withSelection(
      (client) => client.cancelJobs(selection, how),
      (result) => context.printResult(result, options, "cancelled"),
    );
  }
  const cancel = async (client: Procman, id: string) => {
    await context.printJob(await client.cancel(id, how), options);
  };
  return context.forEachJob(given, options, cancel, { concurrency: CONCURRENCY });
}
