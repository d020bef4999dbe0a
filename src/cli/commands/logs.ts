import { Command } from "commander";
import { copyLines } from "../terminal/copy-lines.js";
import { copyOutput } from "../terminal/copy-output.js";
import { printLineEvents } from "../terminal/line-events.js";
import type { CommandContext } from "./command-context.js";
import { followJob } from "./follow-job.js";
import { addJobArgument, type LastOption } from "./job-argument.js";
import {
  addGrepOptions,
  addOutputStartOptions,
  addPeriodOptions,
  type GrepOptions,
  lineFilter,
  outputPeriod,
  outputStart,
  type OutputStartOptions,
  type PeriodOptions,
} from "./options.js";

interface LogsOptions extends LastOption, OutputStartOptions, PeriodOptions, GrepOptions {
  readonly follow?: boolean;
  readonly timestamps?: boolean;
  readonly json?: boolean;
}

const TAIL_LINES = 10;

const HELP = `
The stdout of the job goes to stdout and its stderr to stderr. "procman attach"
follows without -f, and can send input. "procman watch" shows progress.

With --grep the server sends only lines that match: a pattern has RE2's syntax and may
match anywhere in a line. --tail counts all lines.

--since and --until take how long ago ("10m") or a time ("2026-01-31T12:00:00Z", or without
the zone). The server looks at a log once a second while it grows: what may have been
written in that period is shown. --timestamps shows when each line was written by; "A/B"
where it was written at some time between the two.
`;

const LOGS_HELP = `${HELP}
Examples:
  procman logs k3x
  procman logs -f --tail 100 k3x
  procman logs --grep '(?i)error|warn' k3x
  procman logs --grep '^DEBUG' -v k3x
  procman logs --since 10m --timestamps k3x
  procman logs --since 2026-01-31T12:00 --until 2026-01-31T12:30 k3x`;

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
  return addGrepOptions(addPeriodOptions(addOutputStartOptions(command)))
    .option("-t, --timestamps", "show when each line was written")
    .option("--json", "print each line, and what else happens, as a JSON line")
    .action(async (given: string | undefined, options: LogsOptions) => {
      const { follow = false, timestamps = false, json = false, ...start } = options;
      const filter = lineFilter(options);
      const isLines = filter !== undefined || timestamps || json;
      const lines = isLines ? { ...filter, writtenTimes: timestamps } : undefined;
      const copy = json ? printLineEvents : copyLines;
      await context.withJob(given, options, async (client, id) => {
        // A period has a beginning of its own.
        const from = options.since ? start : { ...defaults, ...start };
        const asked = { ...outputStart(from), ...outputPeriod(options), follow };
        await followJob(context, { id, interruption: cli.interruption() }, (signal) =>
          lines
            ? copy(client, id, { ...asked, ...lines, signal }, cli)
            : copyOutput(client, id, { ...asked, signal }, cli),
        );
      });
    });
}
