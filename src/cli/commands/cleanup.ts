import { Command } from "commander";
import { type CommandContext, withClient } from "./command-context.js";
import { parseDurationMs } from "./options.js";
import { removedJson } from "../../wire/json.js";
import type { JsonOption } from "../format/print-job.js";
import type { StateDirOption } from "../state-dir.js";

interface CleanupOptions extends StateDirOption, JsonOption {
  readonly olderThan?: number;
}

const HELP = `
Examples:
  procman cleanup
  procman cleanup --older-than 7d
  procman cleanup --older-than 0     every ended job`;

/** Removes old ended jobs. */
export function cleanupCommand(context: CommandContext): Command {
  const { stdout, stderr } = context.cli;
  return new Command("cleanup")
    .description("remove the jobs that ended long ago, with their output")
    .option(
      "--older-than <duration>",
      "how long ago they ended (default: the server's --cleanup-age, 24h)",
      parseDurationMs,
    )
    .option("--json", "print each id as a JSON object")
    .addHelpText("after", HELP)
    .action(async ({ olderThan, json, stateDir }: CleanupOptions) => {
      await withClient(context, stateDir, async (client) => {
        const ids = await client.cleanup(olderThan === undefined ? {} : { olderThanMs: olderThan });
        for (const id of ids) await stdout.line(json ? removedJson(id) : `${id} removed`);
        if (ids.length === 0 && stderr.isTerminal) await stderr.line("nothing to remove");
      });
    });
}
