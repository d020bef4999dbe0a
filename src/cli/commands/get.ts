import { Command } from "commander";
import { type CommandContext, withClient } from "./command-context.js";
import { formatJobDetails } from "../format/job-details.js";
import { jobJson } from "../../wire/json.js";
import type { JsonOption } from "../format/print-job.js";
import { resolveJobId } from "./find-jobs.js";
import { printable } from "../format/printable.js";
import type { StateDirOption } from "../state-dir.js";

const HELP = `
Examples:
  procman get k3x
  procman get --json k3x | jq .status`;

interface GetOptions extends StateDirOption, JsonOption {
  readonly env?: boolean;
}

/** Shows what is known of one job. */
export function getCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  return new Command("get")
    .description("show what is known of a job")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("--json", "as a JSON object")
    .option("--env", "with the values of its environment variables, which may be secrets")
    .addHelpText("after", HELP)
    .action(async (given: string, { json, env = false, stateDir }: GetOptions) => {
      await withClient(context, stateDir, async (client) => {
        const job = await client.get(await resolveJobId(client, given), { includeEnv: env });
        const lines = json ? [jobJson(job)] : formatJobDetails(job, stdout);
        for (const line of lines) await stdout.line(line);
        if (!env || json) return;
        for (const variable of Object.entries(job.env)) {
          await stdout.line(printable(variable.join("=")));
        }
      });
    });
}
