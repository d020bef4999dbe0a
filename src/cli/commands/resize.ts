import { Command } from "commander";
import type { WindowSize } from "../../contract/job.js";
import type { CommandContext } from "./command-context.js";
import { type JsonOption, parseWindowSize } from "./options.js";

const HELP = `
"procman attach -i" and "procman run -t" see to the size by themselves.

Example:
  procman resize k3x 120x40`;

export function resizeCommand(context: CommandContext): Command {
  return new Command("resize")
    .description("change the size of a job's terminal")
    .argument("<id>", "the job's id, or the beginning of it")
    .argument("<columns x rows>", "the size in characters: 120x40", parseWindowSize)
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string, size: WindowSize, options: JsonOption) =>
      context.withJob(given, async (client, id) => {
        await context.printJob(await client.resizeWindow(id, size), options);
      }),
    );
}
