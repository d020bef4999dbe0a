import { Command } from "commander";
import { type Job, STATUSES, type Status } from "../../contract/job.js";
import type { JobFilter, ListOptions, Procman, UnreadableJob } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { jobsEventJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { NoStateDirError } from "../ensure-server.js";
import { EXIT } from "../exit-codes.js";
import { exitText, statusText } from "../format/job-facts.js";
import { formatJobTable } from "../format/job-table.js";
import { commandLine } from "../format/printable.js";
import { LiveJobs, type WatchJobsRequest, watchOnScreen } from "../terminal/live-jobs.js";
import type { CommandContext } from "./command-context.js";
import { pagesOfJobs } from "./find-jobs.js";
import {
  addListOutputOptions,
  FORMAT_HELP,
  jobLines,
  listOutput,
  type ListOutput,
  type ListOutputOptions,
  requireLines,
} from "./list-output.js";
import { choiceParser, type KeyValues, parseKeyValue, parseJobName } from "./options.js";

interface LsOptions extends ListOutputOptions {
  readonly status?: readonly Status[];
  readonly label?: KeyValues;
  readonly name?: string;
  readonly all?: boolean;
  readonly watch?: boolean;
}

/** Without --all. */
const MAX_LISTED = 100;

const HELP = `
CPU is the CPU time of a job so far, MEMORY what it has now or, of one that has ended,
the most it had, where the system tells. They are shown where there is room.

A job whose record is damaged, or of a newer version, is "unreadable" in the table of a
list without filters, with the reason. "procman rm --unreadable" removes it.

With --watch a terminal shows as many jobs as fit, with their progress. Jobs that
have not ended come first. Ctrl-C leaves. Where the output is no terminal, each job
is a line, and there is another line when its status or percentage has changed.
With --json each event is a line.

Examples:
  procman ls
  procman ls --watch --status running
  procman ls --status running,pending --label team=ml
  procman ls --format '{id} {status} {command}'
  procman cancel $(procman ls -q --status running)
  procman ls --all --json | jq -r 'select(.exitCode == 1).id'`;

export function lsCommand(context: CommandContext): Command {
  const { cli } = context;
  const command = new Command("ls")
    .description("list jobs, newest first")
    .option(
      "-s, --status <status>",
      `only jobs with this status: ${STATUSES.join(", ")}; several with commas`,
      choiceParser(STATUSES),
    )
    .option(
      "-l, --label <key=value>",
      "only jobs with this label; of several, with all of them",
      parseKeyValue,
    )
    .option("--name <name>", "only jobs with this name", parseJobName)
    .option("-a, --all", "list all jobs, not only the newest 100")
    .option("-w, --watch", "stay, and show the jobs while they change")
    .addHelpText("after", `${HELP}\n${FORMAT_HELP}`);
  return addListOutputOptions(command).action(
    async ({ status = [], label = {}, name, watch, all = false, ...options }: LsOptions) => {
      const output = listOutput(options);
      if (watch) requireLines(output);
      const listing = context.withClient(async (client) => {
        const filter: JobFilter = { statuses: status, labels: label, ...defined({ name }) };
        const includeUsage = !options.quiet;
        if (!watch) return list(client, { ...filter, includeUsage }, { all, output }, cli);
        // Whatever ends it, the terminal is to be left as it was.
        const signal = cli.interruption(["SIGINT", "SIGTERM", "SIGHUP"]);
        const show = watcherFor(output, cli);
        try {
          await show({ client, filter, signal }, cli);
        } catch (error) {
          if (!signal.aborted) throw error;
          context.exitCode = EXIT.interrupted;
        }
      });
      // No jobs, no error: a new user's first look.
      await listing.catch((error: unknown) => {
        if (!(error instanceof NoStateDirError) || !context.hasDefaultStateDir) throw error;
        return cli.stderr.line(`procman: ${error.message}`);
      });
    },
  );
}

async function list(
  client: Procman,
  filter: JobFilter & Pick<ListOptions, "includeUsage">,
  { all, output }: { readonly all: boolean; readonly output: ListOutput },
  { stdout, stderr }: Cli,
): Promise<void> {
  const jobs: Job[] = [];
  const unreadable: UnreadableJob[] = [];
  let listed = 0;
  let total = 0;
  let unreadableTotal = 0;
  for await (const page of pagesOfJobs(client, filter, all ? undefined : MAX_LISTED)) {
    // As they come, where that can be: there may be very many.
    if (output.type === "table" || output.type === "json") jobs.push(...page.jobs);
    else await stdout.lines(jobLines(page.jobs, output));
    unreadable.push(...page.unreadable);
    listed += page.jobs.length;
    total = page.nextPageToken === "" ? listed : page.totalSize;
    unreadableTotal += page.unreadableSize;
  }
  if (output.type === "table") await stdout.lines(formatJobTable([...jobs, ...unreadable], stdout));
  else if (output.type === "json") await stdout.lines(jobLines(jobs, output));
  if (!all && total > listed) {
    const shown = `the newest ${listed} of ${total} jobs`;
    await stderr.line(`procman: these are ${shown}; --all shows them all`);
  }
  const untold = unreadableTotal - (output.type === "table" ? unreadable.length : 0);
  if (untold > 0) {
    const what = `jobs that cannot be read and are not listed: ${untold}`;
    await stderr.line(`procman: ${what}; "procman rm --unreadable" shows them`);
  }
}

type Watcher = (request: WatchJobsRequest, cli: Cli) => Promise<void>;

function watcherFor(output: ListOutput, { stdout }: Cli): Watcher {
  switch (output.type) {
    case "json":
    case "jsonl":
      return printEvents;
    case "lines":
      return (request, cli) => printLines(request, cli, output.format);
    case "table":
      return stdout.isScreen ? watchTable : printLines;
  }
}

function watchTable(request: WatchJobsRequest, cli: Cli): Promise<void> {
  return watchOnScreen(request, cli, new LiveJobs(request.filter));
}

async function printEvents(
  { client, filter, signal }: WatchJobsRequest,
  { stdout }: Cli,
): Promise<void> {
  for await (const event of client.watchJobs({ ...filter, signal })) {
    await stdout.line(jobsEventJson(event));
  }
}

/** Prints a line for each job, and another one whenever that line would differ. */
async function printLines(
  { client, filter, signal }: WatchJobsRequest,
  { stdout }: Cli,
  lineOf: (job: Job) => string = jobLine,
): Promise<void> {
  const printed = new Map<string, string>();
  const print = async (job: Job) => {
    const line = lineOf(job);
    if (printed.get(job.id) !== line) await stdout.line(line);
    printed.set(job.id, line);
  };
  const printRemoval = async (id: string) => {
    if (printed.delete(id)) await stdout.line(`${id}  removed`);
  };
  for await (const event of client.watchJobs({ ...filter, signal })) {
    switch (event.type) {
      case "snapshot": {
        const ids = new Set(event.jobs.map(({ id }) => id));
        for (const id of printed.keys()) if (!ids.has(id)) await printRemoval(id);
        for (const job of event.jobs.toReversed()) await print(job);
        break;
      }
      case "changed":
        await print(event.job);
        break;
      case "removed":
        await printRemoval(event.id);
        break;
      case "resumed":
      case "line":
      case "searched":
        break;
    }
  }
}

function jobLine(job: Job): string {
  const columns = [job.id, statusText(job).padEnd(12), exitText(job).padEnd(4), commandLine(job)];
  return columns.join("  ");
}
