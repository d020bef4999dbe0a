import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import { eachJob } from "../each-job.js";
import { removedJson } from "../../wire/json.js";
import type { JsonOption } from "../format/print-job.js";
import type { StateDirOption } from "../state-dir.js";

const HELP = `
Examples:
  procman rm k3x
  procman rm $(procman ls --status completed --all --json | jq -r .id)`;

/** Removes ended jobs. */
export function rmCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  return new Command("rm")
    .alias("remove")
    .description("remove ended jobs with their output")
    .argument("<id...>", "ids of jobs, or their beginnings")
    .option("--json", "print each id as a JSON object")
    .addHelpText("after", HELP)
    .action(async (ids: string[], { json, stateDir }: StateDirOption & JsonOption) => {
      await eachJob(context, stateDir, ids, async (client, id) => {
        await client.remove(id);
        await stdout.line(json ? removedJson(id) : `${id} removed`);
      });
    });
}
