import { Command } from "commander";
import { ProcmanError } from "../../contract/errors.js";
import type { Procman } from "../../contract/procman.js";
import { removedJson } from "../../wire/json.js";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";

const HELP = `
Examples:
  procman rm k3x
  procman rm -f k3x                  cancels it first
  procman rm $(procman ls --status completed --all --json | jq -r .id)`;

interface RmOptions extends JsonOption {
  readonly force?: boolean;
}

export function rmCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  return new Command("rm")
    .description("delete jobs that have ended, with their output")
    .argument("<id...>", "the ids of the jobs; their first letters are enough")
    .option("-f, --force", "cancel a job first if it has not ended")
    .option("--json", "print each id as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], { force, json }: RmOptions) =>
      context.forEachJob(given, async (client, id) => {
        if (force) await cancelRunning(client, id);
        await client.remove(id);
        await stdout.line(json ? removedJson(id) : `${id} removed`);
      }),
    );
}

async function cancelRunning(client: Procman, id: string): Promise<void> {
  try {
    await client.cancel(id);
  } catch (error) {
    // It has ended.
    if (!(error instanceof ProcmanError && error.reason === "JOB_NOT_RUNNING")) throw error;
  }
}
