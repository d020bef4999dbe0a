import { Command } from "commander";
import { type CommandContext, withClient } from "./command-context.js";
import { type JsonOption, printJob } from "../format/print-job.js";
import { resolveJobId } from "./find-jobs.js";
import type { StateDirOption } from "../state-dir.js";
import { parseWindowSize } from "../window-size-option.js";

const HELP = `
"procman attach -i" and "procman run -t" see to the size by themselves.

Example:
  procman resize k3x 120x40`;

/** Changes the size of a job's terminal. */
export function resizeCommand(context: CommandContext): Command {
  return new Command("resize")
    .description("change the size of a job's terminal")
    .argument("<id>", "the job's id, or the beginning of it")
    .argument("<columns x rows>", "the size in characters: 120x40", parseWindowSize)
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action(
      async (
        given: string,
        size: ReturnType<typeof parseWindowSize>,
        options: StateDirOption & JsonOption,
      ) => {
        await withClient(context, options.stateDir, async (client) => {
          const id = await resolveJobId(client, given);
          const job = await client.resizeWindow(id, size);
          await printJob(job, options, context.cli);
        });
      },
    );
}
