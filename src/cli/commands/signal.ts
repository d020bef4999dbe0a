import { Command } from "commander";
import { CliError, EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";
import { addJobsArgument, type LastOption } from "./job-argument.js";
import type { JsonOption } from "./options.js";

const HELP = `
The last word is the signal: its name, with or without SIG, or its number.

To end a job, use "procman cancel": the job is then "cancelled". A job that a signal
ends is "failed".

Examples:
  procman signal k3x HUP
  procman signal web SIGUSR1
  procman signal --last INT
  procman signal k3x 10`;

export function signalCommand(context: CommandContext): Command {
  return addJobsArgument(
    new Command("signal").description("send a signal to the process groups of jobs"),
  )
    .usage("[options] <id...> <signal>")
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((words: string[], options: JsonOption & LastOption) => {
      const all = context.allWords(words);
      const signal = all.at(-1);
      if (signal === undefined || (all.length === 1 && !options.last)) {
        throw new CliError("missing required argument 'signal'", { exitCode: EXIT.usage });
      }
      return context.forEachJob(all.slice(0, -1), options, async (client, id) => {
        await context.printJob(await client.signal(id, signal), options);
      });
    });
}
