import { Command } from "commander";
import { jobJson } from "../../wire/json.js";
import { formatJobDetails } from "../format/job-details.js";
import { printable } from "../format/printable.js";
import type { CommandContext } from "./command-context.js";
import { addJobArgument, type LastOption } from "./job-argument.js";
import type { JsonOption } from "./options.js";

const HELP = `
Examples:
  procman get k3x
  procman get --json k3x | jq .status`;

interface GetOptions extends JsonOption, LastOption {
  readonly env?: boolean;
}

export function getCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  const command = new Command("get").description("show everything about a job");
  return addJobArgument(command)
    .option("--json", "print a JSON object")
    .option("--env", "show the values of its environment variables, which may be secrets")
    .addHelpText("after", HELP)
    .action((given: string | undefined, { json, env = false, last = false }: GetOptions) =>
      context.withJob(given, { last }, async (client, id) => {
        const job = await client.get(id, { includeEnv: env });
        if (json) return stdout.line(jobJson(job, { env }));
        await stdout.lines(formatJobDetails(job, stdout));
        if (!env) return;
        const variables = Object.entries(job.env).map((variable) => variable.join("="));
        await stdout.lines(variables.map(printable));
      }),
    );
}
