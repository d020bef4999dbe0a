import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";

const HELP = `
To end a job, use "procman cancel": the job is then "cancelled". A job that a signal
ends is "failed".

Examples:
  procman signal k3x HUP
  procman signal k3x SIGUSR1
  procman signal k3x 10`;

export function signalCommand(context: CommandContext): Command {
  return new Command("signal")
    .description("send a signal to the process group of a job")
    .argument("<id>", "the id of the job; its first letters are enough")
    .argument("<signal>", "the name of the signal, with or without SIG, or its number")
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string, signal: string, options: JsonOption) =>
      context.withJob(given, async (client, id) => {
        await context.printJob(await client.signal(id, signal), options);
      }),
    );
}
