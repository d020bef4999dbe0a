import { Command } from "commander";
import { removedJson } from "../../wire/json.js";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";

const HELP = `
Examples:
  procman rm k3x
  procman rm $(procman ls --status completed --all --json | jq -r .id)`;

export function rmCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  return new Command("rm")
    .alias("remove")
    .description("remove ended jobs with their output")
    .argument("<id...>", "ids of jobs, or their beginnings")
    .option("--json", "print each id as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], { json }: JsonOption) =>
      context.forEachJob(given, async (client, id) => {
        await client.remove(id);
        await stdout.line(json ? removedJson(id) : `${id} removed`);
      }),
    );
}
