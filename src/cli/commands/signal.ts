import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";

const HELP = `
To end a job, use "procman cancel": it knows then that this was asked for.

Examples:
  procman signal k3x HUP
  procman signal k3x SIGUSR1`;

export function signalCommand(context: CommandContext): Command {
  return new Command("signal")
    .description("send a signal to a job's process group")
    .argument("<id>", "the job's id, or the beginning of it")
    .argument("<signal>", "the signal's name, with or without SIG")
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string, signal: string, options: JsonOption) =>
      context.withJob(given, async (client, id) => {
        await context.printJob(await client.signal(id, signal), options);
      }),
    );
}
