import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import {
  addRemainingOption,
  addSelection,
  type RemainingOption,
  remainingOf,
  type SelectionOptions,
  selectionOf,
  usageError,
} from "./job-argument.js";
import type { JsonOption } from "./options.js";

const HELP = `
The last word is the signal: its name, with or without SIG, or its number.

To end a job, use "procman cancel": the job is then "cancelled". A job that a signal
ends is "failed".

With --remaining the signal goes, of a job that has ended, to each process that its
command has left behind.

Examples:
  procman signal k3x HUP
  procman signal web SIGUSR1
  procman signal --last INT
  procman signal --label team=ml STOP
  procman signal k3x 10`;

export function signalCommand(context: CommandContext): Command {
  const description = "send a signal to the process groups of jobs";
  const command = addSelection(
    new Command("signal").description(description),
    "every job that runs",
  );
  return addRemainingOption(command, "of jobs that have ended, signal the processes that are left")
    .usage("[options] <id...> <signal>")
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((words: string[], options: JsonOption & RemainingOption & SelectionOptions) => {
      const all = context.allWords(words);
      const [given, signal] = [all.slice(0, -1), all.at(-1)];
      const needsId = !options.last && !selectionOf(given, options);
      if (signal === undefined || (needsId && given.length === 0)) {
        throw usageError("missing required argument 'signal'");
      }
      return signalJobs(context, given, options, signal);
    });
}

/** Sends a signal to the jobs that are given or selected. */
export function signalJobs(
  context: CommandContext,
  given: readonly string[],
  options: JsonOption & RemainingOption & SelectionOptions,
  signal: string,
): Promise<void> {
  const how = remainingOf(options);
  const selection = selectionOf(given, options);
  if (selection) {
    return context.withSelection(
      (client) => client.signalJobs(selection, signal, how),
      (result) => context.printResult(result, options, "signalled"),
    );
  }
  return context.forEachJob(given, options, async (client, id) => {
    await context.printJob(await client.signal(id, signal, how), options);
  });
}
