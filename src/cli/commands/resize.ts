import { Command } from "commander";
import type { WindowSize } from "../../contract/job.js";
import { CliError, EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";
import { addJobArgument, type LastOption } from "./job-argument.js";
import { type JsonOption, parseWindowSize } from "./options.js";

const HELP = `
"procman attach -i" and "procman run -t" set the size by themselves.

Examples:
  procman resize k3x 120x40
  procman resize --last 120x40`;

export function resizeCommand(context: CommandContext): Command {
  const description = "change the size of the terminal of a job";
  return addJobArgument(new Command("resize").description(description))
    .argument("[columns x rows]", "its size in characters, such as 120x40")
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action((first = "", second = "", options: JsonOption & LastOption) => {
      const [given, text] = options.last && second === "" ? [undefined, first] : [first, second];
      const size = requiredSize(text);
      return context.withJob(given || undefined, options, async (client, id) => {
        await context.printJob(await client.resizeWindow(id, size), options);
      });
    });
}

/** Its own error, since either of two words may be the size. */
function requiredSize(text: string): WindowSize {
  try {
    return parseWindowSize(text);
  } catch (cause) {
    const message = 'give columns and rows as the size: "120x40"';
    throw new CliError(message, { exitCode: EXIT.usage, cause });
  }
}
