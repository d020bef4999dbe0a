import { Command } from "commander";
import type { JobFilter, Procman } from "../../contract/procman.js";
import { STATUSES, type Status } from "../../contract/job.js";
import { allJobs } from "../all-jobs.js";
import { choices } from "../choice-option.js";
import type { Cli } from "../cli.js";
import { type CommandContext, withClient } from "./command-context.js";
import { EXIT } from "../exit-codes.js";
import { formatJobTable } from "../format/job-table.js";
import { jobJson } from "../../wire/json.js";
import { type KeyValues, parseKeyValue } from "../key-value-option.js";
import type { JsonOption } from "../format/print-job.js";
import type { StateDirOption } from "../state-dir.js";
import { printJobLines, printJobsEvents, watchOnScreen } from "../terminal/watch-live.js";

interface LsOptions extends StateDirOption, JsonOption {
  readonly status?: readonly Status[];
  readonly label?: KeyValues;
  readonly all?: boolean;
  readonly watch?: boolean;
}

const HELP = `
With --watch a terminal shows the jobs while they change, with their progress:
those that have not ended first, as many as fit. Ctrl-C leaves. Elsewhere each
job is a line, and another one whenever its status or percentage has changed;
with --json each event is one.

Examples:
  procman ls
  procman ls --watch --status running
  procman ls --status running,pending --label team=ml
  procman ls --all --json | jq -r 'select(.exitCode == 1).id'`;

/** Lists jobs, newest first. */
export function lsCommand(context: CommandContext): Command {
  const { cli, exit } = context;
  return new Command("ls")
    .alias("list")
    .description("list jobs, newest first")
    .option(
      "-s, --status <status>",
      `only those that are ${STATUSES.join(", ")} (repeatable, or with commas)`,
      choices(STATUSES),
    )
    .option(
      "-l, --label <key=value>",
      "only those with this label (repeatable: all)",
      parseKeyValue,
    )
    .option("-a, --all", "all of them, not only the newest 100")
    .option("-w, --watch", "go on showing them while they change")
    .option("--json", "one JSON object a line")
    .addHelpText("after", HELP)
    .action(async ({ status = [], label = {}, watch, ...options }: LsOptions) => {
      const filter: JobFilter = { statuses: status, labels: label };
      await withClient(context, options.stateDir, async (client) => {
        if (!watch) return list(client, filter, options, cli);
        // Whatever ends it, the terminal is to be left as it was.
        const signal = cli.interruption(["SIGINT", "SIGTERM", "SIGHUP"]);
        const show = options.json
          ? printJobsEvents
          : cli.stdout.isScreen
            ? watchOnScreen
            : printJobLines;
        try {
          await show({ client, filter, signal }, cli);
        } catch (error) {
          if (!signal.aborted) throw error;
          exit(EXIT.interrupted);
        }
      });
    });
}

async function list(
  client: Procman,
  filter: JobFilter,
  { all, json }: Pick<LsOptions, "all" | "json">,
  { stdout, stderr }: Cli,
): Promise<void> {
  if (all && json) {
    for await (const jobs of allJobs(client, filter)) {
      for (const job of jobs) await stdout.line(jobJson(job));
    }
    return;
  }
  const jobs = [];
  if (all) {
    for await (const page of allJobs(client, filter)) jobs.push(...page);
  } else {
    const page = await client.list(filter);
    jobs.push(...page.jobs);
    if (page.nextPageToken !== "") {
      const shown = `the newest ${jobs.length} of ${page.totalSize} jobs`;
      await stderr.line(`procman: these are ${shown}; --all shows them all`);
    }
  }
  const lines = json ? jobs.map(jobJson) : formatJobTable(jobs, stdout);
  for (const line of lines) await stdout.line(line);
}
