import { Command } from "commander";
import { jobJson } from "../../wire/json.js";
import { formatJobTable } from "../format/job-table.js";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";

const HELP = `
The server notices by itself when a job ends; refresh makes it look at once.

Example:
  procman refresh`;

export function refreshCommand(context: CommandContext): Command {
  const { stdout, stderr } = context.cli;
  return new Command("refresh")
    .description("look at every job's processes now, and show the jobs that changed by it")
    .option("--json", "one JSON object a line")
    .addHelpText("after", HELP)
    .action(({ json }: JsonOption) =>
      context.withClient(async (client) => {
        const jobs = await client.refresh();
        if (json) await stdout.lines(jobs.map(jobJson));
        else if (jobs.length > 0) await stdout.lines(formatJobTable(jobs, stdout));
        else if (stderr.isTerminal) await stderr.line("nothing changed");
      }),
    );
}
