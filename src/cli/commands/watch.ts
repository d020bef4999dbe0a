import { Command } from "commander";
import type { Job } from "../../contract/job.js";
import type { JobSelection, Procman, WatchOptions } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import type { Cli } from "../cli.js";
import { OutputGaps, unexpectedEnd } from "../terminal/copy-output.js";
import { LineView } from "../terminal/line-view.js";
import { printLineEvents } from "../terminal/line-events.js";
import { printLinesOfJobs } from "../terminal/lines-of-jobs.js";
import { EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";
import { followJob } from "./follow-job.js";
import {
  addJobArgument,
  addSelectionOptions,
  type SelectionOptions,
  selectionOf,
  usageError,
} from "./job-argument.js";
import {
  addGrepOptions,
  addOutputStartOptions,
  addPeriodOptions,
  type GrepOptions,
  type JsonOption,
  lineFilter,
  outputPeriod,
  outputStart,
  type OutputStartOptions,
  type PeriodOptions,
} from "./options.js";

interface WatchCommandOptions
  extends JsonOption,
    SelectionOptions,
    OutputStartOptions,
    PeriodOptions,
    GrepOptions {}

const HELP = `
Each line goes to stdout or stderr, where the job wrote it. A terminal shows the
progress in one line at the bottom. Ctrl-C leaves, and the job goes on.

With --grep the server sends only lines that match: a pattern has RE2's syntax and may
match anywhere in a line. --label, --status, --name and --all, with --grep, watch all jobs
that match, also those that start later: each new line comes with its job before it.

Examples:
  procman watch k3x
  procman watch --grep '(?i)error' k3x
  procman watch --all --grep '(?i)error|panic'
  procman watch --tail 0 --json k3x | jq --unbuffered .line.progress.percent`;

export function watchCommand(context: CommandContext): Command {
  const { cli } = context;
  const command = new Command("watch").description(
    "follow the output of a job line by line, with its progress",
  );
  addGrepOptions(addPeriodOptions(addOutputStartOptions(addJobArgument(command))));
  return addSelectionOptions(command, "every job, also those to come")
    .option("--json", "print each event as a JSON line")
    .addHelpText("after", HELP)
    .action((given: string | undefined, options: WatchCommandOptions) => {
      const filter = lineFilter(options);
      const selection = selectionOf(given === undefined ? [] : [given], options);
      if (selection) return watchSeveral(context, selection, options);
      return context.withJob(given, options, async (client, id) => {
        const watch = options.json ? printLineEvents : showLines;
        await followJob(context, { id, interruption: cli.interruption() }, (signal) =>
          watch(
            client,
            id,
            { ...outputStart(options), ...outputPeriod(options), ...filter, signal },
            cli,
          ),
        );
      });
    });
}

/** @throws CliError for what is for a single job */
async function watchSeveral(
  context: CommandContext,
  selection: JobSelection,
  options: WatchCommandOptions,
): Promise<void> {
  const { tail, stdoutOffset, stderrOffset, since, until, stream, json = false } = options;
  const filter = lineFilter(options);
  if (!filter) {
    throw usageError("to watch several jobs takes --grep; `procman attach` shows all of it");
  }
  if ((tail ?? stdoutOffset ?? stderrOffset ?? since ?? until) !== undefined) {
    const given = "--tail, --stdout-offset, --stderr-offset, --since and --until";
    throw usageError(`${given} are for a single job`);
  }
  const { cli } = context;
  const { all: _, ...jobs } = selection;
  await context.withClient(async (client) => {
    const signal = cli.interruption();
    try {
      const output = { ...filter, ...defined({ streams: stream }) };
      await printLinesOfJobs(client, { ...jobs, output, json, signal }, cli);
    } catch (error) {
      if (!signal.aborted) throw error;
      context.exitCode = EXIT.interrupted;
    }
  });
}

async function showLines(
  client: Procman,
  id: string,
  options: WatchOptions,
  cli: Cli,
): Promise<Job> {
  const view = new LineView(cli);
  // What lies between lines that match is no gap.
  const isWhole = options.pattern === undefined;
  const gaps = new OutputGaps(isWhole ? options : { ...options, tailLines: 0 });
  try {
    for await (const event of client.watch(id, options)) {
      if (event.type === "opened") gaps.opened(event.job);
      if (event.type === "truncated") await view.note(gaps.truncated(event));
      if (event.type === "line") {
        const gap = isWhole && gaps.before(event.stream, event.offset, event.nextOffset);
        if (gap) await view.note(gap);
        await view.show(event);
      }
      if (event.type === "ended") {
        gaps.throwIfMissing();
        return event.job;
      }
    }
  } finally {
    await view.close();
  }
  throw unexpectedEnd(id);
}
