import { Command } from "commander";
import type { Procman, WatchOptions } from "../../contract/procman.js";
import { type Job, STREAMS } from "../../contract/job.js";
import { choices } from "../choice-option.js";
import type { Cli } from "../cli.js";
import { CliError } from "../cli-error.js";
import { type CommandContext, withClient } from "./command-context.js";
import { sayHowItEnded, untilInterrupted } from "./follow-job.js";
import { watchEventJson } from "../../wire/json.js";
import { LineView } from "../terminal/line-view.js";
import { OutputGaps } from "../terminal/output-gaps.js";
import { outputStart, type OutputStartOptions } from "../output-start-options.js";
import type { JsonOption } from "../format/print-job.js";
import { resolveJobId } from "./find-jobs.js";
import type { StateDirOption } from "../state-dir.js";
import { parseWholeNumber } from "../whole-number-option.js";

const HELP = `
Lines go to stdout or stderr as they came; a terminal shows the progress that
they tell of in one line at the bottom. Ctrl-C leaves; the job goes on.

Examples:
  procman watch k3x
  procman watch --tail 0 --json k3x | jq --unbuffered .line.progress.percent`;

/** Follows a job's output line by line. */
export function watchCommand(context: CommandContext): Command {
  const { cli, exit, stateDirOption } = context;
  return new Command("watch")
    .description("follow a job's output line by line, with its progress")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("-n, --tail <lines>", "begin with the last so many lines", parseWholeNumber)
    .option("--stdout-offset <byte>", "nothing of stdout before this byte", parseWholeNumber)
    .option("--stderr-offset <byte>", "nothing of stderr before this byte", parseWholeNumber)
    .option("--stream <stream>", "only stdout or stderr", choices(STREAMS))
    .option("--json", "the events as JSON lines")
    .addHelpText("after", HELP)
    .action(async (given: string, options: StateDirOption & JsonOption & OutputStartOptions) => {
      const { json = false, stateDir } = options;
      await withClient(context, stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        const watch = json ? printEvents : showLines;
        const followed = await untilInterrupted(
          (signal) => watch(client, id, { ...outputStart(options), signal }, cli),
          cli.interruption(),
          { id, stateDirOption: stateDirOption(stateDir) },
          cli,
        );
        if (followed.kind === "detached") return exit(followed.exitCode);
        await sayHowItEnded(followed.job, cli);
      });
    });
}

async function printEvents(
  client: Procman,
  id: string,
  options: WatchOptions,
  { stdout }: Cli,
): Promise<Job> {
  for await (const event of client.watch(id, options)) {
    await stdout.line(watchEventJson(event));
    if (event.type === "ended") return event.job;
  }
  throw unexpectedEnd(id);
}

async function showLines(
  client: Procman,
  id: string,
  options: WatchOptions,
  cli: Cli,
): Promise<Job> {
  const view = new LineView(cli);
  const gaps = new OutputGaps(options);
  try {
    for await (const event of client.watch(id, options)) {
      if (event.type === "line") {
        const gap = gaps.before(event.stream, event.offset, event.nextOffset);
        if (gap) await view.say(gap);
        await view.show(event);
      }
      if (event.type === "ended") return event.job;
    }
  } finally {
    await view.close();
  }
  throw unexpectedEnd(id);
}

function unexpectedEnd(id: string): CliError {
  return new CliError(`the output of job ${id} ended unexpectedly`);
}
