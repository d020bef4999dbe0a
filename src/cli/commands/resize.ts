import { Command } from "commander";
import type { WindowSize } from "../../contract/job.js";
import type { CommandContext } from "./command-context.js";
import { type JsonOption, parseWindowSize } from "./options.js";

const HELP = `
"procman attach -i" and "procman run -t" set the size by themselves.

Example:
  procman resize k3x 120x40`;

export function resizeCommand(context: CommandContext): Command {
  return new Command("resize")
    .description("change the size of the terminal of a job")
    .argument("<id>", "the id of the job; its first letters are enough")
    .argument("<columns x rows>", "its size in characters, such as 120x40", parseWindowSize)
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string, size: WindowSize, options: JsonOption) =>
      context.withJob(given, async (client, id) => {
        await context.printJob(await client.resizeWindow(id, size), options);
      }),
    );
}
