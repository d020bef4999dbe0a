import { Command } from "commander";
import { type CommandContext, withClient } from "./command-context.js";
import { formatJobTable } from "../format/job-table.js";
import { jobJson } from "../../wire/json.js";
import type { JsonOption } from "../format/print-job.js";
import type { StateDirOption } from "../state-dir.js";

const HELP = `
The server notices by itself when a job ends; refresh makes it look at once.

Example:
  procman refresh`;

/** Makes the server look at every job that has not ended. */
export function refreshCommand(context: CommandContext): Command {
  const { stdout, stderr } = context.cli;
  return new Command("refresh")
    .description("look at every job's processes now, and show the jobs that changed by it")
    .option("--json", "one JSON object a line")
    .addHelpText("after", HELP)
    .action(async ({ json, stateDir }: StateDirOption & JsonOption) => {
      await withClient(context, stateDir, async (client) => {
        const jobs = await client.refresh();
        if (jobs.length === 0 && !json) {
          if (stderr.isTerminal) await stderr.line("nothing changed");
          return;
        }
        const lines = json ? jobs.map(jobJson) : formatJobTable(jobs, stdout);
        for (const line of lines) await stdout.line(line);
      });
    });
}
