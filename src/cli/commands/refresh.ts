import { Command } from "commander";
import { formatJobTable } from "../format/job-table.js";
import type { CommandContext } from "./command-context.js";
import {
  addListOutputOptions,
  FORMAT_HELP,
  jobLines,
  listOutput,
  type ListOutputOptions,
} from "./list-output.js";

const HELP = `
The server notices by itself when a job ends. refresh makes it check at once.

Example:
  procman refresh`;

export function refreshCommand(context: CommandContext): Command {
  const { stdout, stderr } = context.cli;
  const command = new Command("refresh")
    .description("check the processes of all jobs now, and list the jobs that have changed")
    .addHelpText("after", `${HELP}\n${FORMAT_HELP}`);
  return addListOutputOptions(command).action((options: ListOutputOptions) => {
    const output = listOutput(options);
    return context.withClient(async (client) => {
      const jobs = await client.refresh();
      if (output.type !== "table") await stdout.lines(jobLines(jobs, output));
      else if (jobs.length > 0) await stdout.lines(formatJobTable(jobs, stdout));
      else if (stderr.isTerminal) await stderr.line("nothing changed");
    });
  });
}
