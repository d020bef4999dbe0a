import { Command } from "commander";
import type { Job } from "../../contract/job.js";
import type { Procman, WatchOptions } from "../../contract/procman.js";
import { watchEventJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { OutputGaps, unexpectedEnd } from "../terminal/copy-output.js";
import { LineView } from "../terminal/line-view.js";
import type { CommandContext } from "./command-context.js";
import { followJob } from "./follow-job.js";
import { addJobArgument, type LastOption } from "./job-argument.js";
import {
  addOutputStartOptions,
  type JsonOption,
  outputStart,
  type OutputStartOptions,
} from "./options.js";

const HELP = `
Each line goes to stdout or stderr, where the job wrote it. A terminal shows the
progress in one line at the bottom. Ctrl-C leaves, and the job goes on.

Examples:
  procman watch k3x
  procman watch --tail 0 --json k3x | jq --unbuffered .line.progress.percent`;

export function watchCommand(context: CommandContext): Command {
  const { cli } = context;
  const command = new Command("watch").description(
    "follow the output of a job line by line, with its progress",
  );
  return addOutputStartOptions(addJobArgument(command))
    .option("--json", "print each event as a JSON line")
    .addHelpText("after", HELP)
    .action((given: string | undefined, options: JsonOption & LastOption & OutputStartOptions) =>
      context.withJob(given, options, async (client, id) => {
        const watch = options.json ? printEvents : showLines;
        await followJob(context, { id, interruption: cli.interruption() }, (signal) =>
          watch(client, id, { ...outputStart(options), signal }, cli),
        );
      }),
    );
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
      if (event.type === "opened") gaps.opened(event.job);
      if (event.type === "truncated") await view.note(gaps.truncated(event));
      if (event.type === "line") {
        const gap = gaps.before(event.stream, event.offset, event.nextOffset);
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
