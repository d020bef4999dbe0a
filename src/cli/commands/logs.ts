import { Command } from "commander";
import { CliError, EXIT } from "../exit-codes.js";
import { copyMatchingLines } from "../terminal/copy-lines.js";
import { copyOutput } from "../terminal/copy-output.js";
import type { CommandContext } from "./command-context.js";
import { followJob } from "./follow-job.js";
import { addJobArgument, type LastOption } from "./job-argument.js";
import {
  addGrepOptions,
  addOutputStartOptions,
  type GrepOptions,
  lineFilter,
  outputStart,
  type OutputStartOptions,
} from "./options.js";

interface LogsOptions extends LastOption, OutputStartOptions, GrepOptions {
  readonly follow?: boolean;
  readonly since?: string;
}

const TAIL_LINES = 10;

const HELP = `
The stdout of the job goes to stdout and its stderr to stderr. "procman attach"
follows without -f, and can send input. "procman watch" shows progress.

With --grep the server sends only lines that match: a pattern has RE2's syntax and may
match anywhere in a line. --tail counts all lines.
`;

const LOGS_HELP = `${HELP}
Examples:
  procman logs k3x
  procman logs -f --tail 100 k3x
  procman logs --grep '(?i)error|warn' k3x
  procman logs --grep '^DEBUG' -v k3x`;

const TAIL_HELP = `${HELP}
Examples:
  procman tail k3x
  procman tail -n 50 -f k3x`;

export function logsCommand(context: CommandContext): Command {
  const description = "print the output of a job; with -f, follow it";
  return outputCommand(context, "logs", description, {}).addHelpText("after", LOGS_HELP);
}

export function tailCommand(context: CommandContext): Command {
  const description = `print the last ${TAIL_LINES} lines of output of a job; with -f, follow it`;
  const start = { tail: TAIL_LINES };
  return outputCommand(context, "tail", description, start).addHelpText("after", TAIL_HELP);
}

function outputCommand(
  context: CommandContext,
  name: string,
  description: string,
  defaults: OutputStartOptions,
): Command {
  const { cli } = context;
  const command = addJobArgument(new Command(name).description(description)).option(
    "-f, --follow",
    "show new output until the job has ended",
  );
  return addGrepOptions(addOutputStartOptions(command))
    .option("--since <time>", "not available: procman does not record when output was written")
    .action(async (given: string | undefined, options: LogsOptions) => {
      const { follow = false, since, ...start } = options;
      if (since !== undefined) {
        const message =
          "--since is not available: procman does not record when output was written. Use --tail, or --stdout-offset and --stderr-offset";
        throw new CliError(message, { exitCode: EXIT.usage });
      }
      const filter = lineFilter(options);
      await context.withJob(given, options, async (client, id) => {
        const copy = { ...outputStart({ ...defaults, ...start }), follow };
        await followJob(context, { id, interruption: cli.interruption() }, (signal) =>
          filter
            ? copyMatchingLines(client, id, { ...copy, ...filter, signal }, cli)
            : copyOutput(client, id, { ...copy, signal }, cli),
        );
      });
    });
}
