import { Command } from "commander";
import { defined } from "../../platform/defined.js";
import { idJson } from "../../wire/json.js";
import type { CommandContext } from "./command-context.js";
import { addRemainingOption, type RemainingOption, remainingOf } from "./job-argument.js";
import { type JsonOption, parseDurationMs } from "./options.js";

interface CleanupOptions extends JsonOption, RemainingOption {
  readonly olderThan?: number;
}

const HELP = `
Jobs whose commands have left processes behind stay, unless --remaining is given.

Examples:
  procman cleanup
  procman cleanup --older-than 7d
  procman cleanup --older-than 0     every ended job`;

export function cleanupCommand(context: CommandContext): Command {
  const { stdout, stderr } = context.cli;
  const command = new Command("cleanup").description(
    "delete all jobs that ended long ago, with their output",
  );
  return addRemainingOption(command, "first end what their commands have left behind")
    .option(
      "--older-than <duration>",
      "delete jobs that ended longer ago than this (default: serve --cleanup-age, else 24h)",
      parseDurationMs,
    )
    .option("--json", "print each id as a JSON object")
    .addHelpText("after", HELP)
    .action(({ olderThan, json, remaining = false }: CleanupOptions) =>
      context.withClient(async (client) => {
        const options = { ...defined({ olderThanMs: olderThan }), ...remainingOf({ remaining }) };
        const ids = await client.cleanup(options);
        await stdout.lines(ids.map((id) => (json ? idJson(id) : `${id} removed`)));
        if (ids.length === 0 && stderr.isTerminal) await stderr.line("nothing to remove");
      }),
    );
}
