import { Command, Option } from "commander";
import { isTerminal, type Job, type Stream, STREAMS } from "../../contract/job.js";
import type { JobFilter, Procman, WaitedJob, WaitUntil } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { inParallel } from "../../platform/in-parallel.js";
import { waitedJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { CliError, EXIT, jobExitCode } from "../exit-codes.js";
import { formatJobSummary } from "../format/job-details.js";
import { printable } from "../format/printable.js";
import type { CommandContext } from "./command-context.js";
import {
  addSelection,
  chosenJobs,
  type SelectionOptions,
  selectionOf,
  UNENDED_STATUSES,
  usageError,
} from "./job-argument.js";
import {
  choiceParser,
  type JsonOption,
  outputStart,
  type OutputStartOptions,
  parseDurationMs,
  parseWholeNumber,
} from "./options.js";

interface WaitOptions extends JsonOption, SelectionOptions, Omit<OutputStartOptions, "tail"> {
  readonly timeout?: number;
  readonly forOutput?: string;
  readonly forPort?: number;
  /** False with --no-remaining. */
  readonly remaining: boolean;
}

const HELP = `
Exits as the job did, or with 124 when --timeout passed first and the job goes on.
"procman --help" lists the other exit codes.

With --for-output or --for-port it waits for that line or port, prints it, and
exits with 0. If the job ends first, it exits as the job did, but with 1 instead
of 0. A pattern has RE2's syntax and may match anywhere in a line. The search
begins at the start of the output, or at the offsets.

A command may end and leave processes behind. With --no-remaining it also waits for the
end of these.

Of several jobs it waits for all, and exits as the first of them that did not end with 0,
or with 124 where one goes on. --label, --status and --name select all that match, also
those that have ended; --all selects those that have not.

Examples:
  procman wait k3x && echo done
  procman wait --label build=7 && ./deploy.sh
  procman wait --timeout 10m k3x
  procman wait --no-remaining k3x
  procman wait --timeout 0 k3x                        124: it still runs
  procman wait --for-output 'ready in \\d+ ms' --timeout 1m k3x
  procman wait --for-output '^ERROR' --stream stderr --timeout 0 k3x
  procman wait --for-port 3000 k3x && open http://localhost:3000
  port=$(procman wait --for-port 0 k3x)               whichever it is`;

export function waitCommand(context: CommandContext): Command {
  const { cli } = context;
  const description =
    "wait for the end of jobs and exit as they did, or wait for a line or a port of one";
  return addSelection(new Command("wait").description(description), "every job that runs")
    .option("-t, --timeout <duration>", "wait no longer than this; 0: do not wait", parseDurationMs)
    .addOption(
      new Option("--for-output <pattern>", "wait for a line of output that matches").conflicts(
        "forPort",
      ),
    )
    .option(
      "--for-port <port>",
      "wait until the job listens on this TCP port; 0: on any",
      parseWholeNumber,
    )
    .addOption(
      new Option(
        "--no-remaining",
        "wait also for the end of the processes that the command leaves behind",
      ).conflicts(["forOutput", "forPort"]),
    )
    .option<readonly Stream[]>(
      "--stream <stream>",
      "look only at stdout, or only at stderr",
      choiceParser(STREAMS),
    )
    .option("--stdout-offset <byte>", "look at stdout from this byte on", parseWholeNumber)
    .option("--stderr-offset <byte>", "look at stderr from this byte on", parseWholeNumber)
    .option("--json", "print a JSON object: the job, and what was waited for")
    .addHelpText("after", HELP)
    .action((parsed: string[], options: WaitOptions) => {
      const until = waitUntil(options);
      const given = context.allWords(parsed);
      if (given.length > 1 || selectionOf(given, options)) {
        if (until && until.type !== "no-remaining") {
          throw usageError("--for-output and --for-port are for a single job");
        }
        return context.withClient(async (client) => {
          const jobs = await chosenJobs(client, given, options, awaited);
          await waitForSeveral(context, client, jobs, options);
        });
      }
      return context.withJob(given[0], options, async (client, id) => {
        const wanted = defined({ timeoutMs: options.timeout, until });
        const waited = await client.wait(id, wanted);
        if (until && until.type !== "no-remaining") {
          context.exitCode = await reportOutcome(waited, until, options, cli);
          return;
        }
        await context.printJob(waited, options);
        const isOver = isAwaited(waited, options);
        if (!isOver) await cli.stderr.line(`procman: job ${id} ${goesOn(waited)}`);
        context.exitCode = isOver ? jobExitCode(waited) : EXIT.timeout;
      });
    });
}

/** How many jobs are waited for at a time: each wait is a request that stays open. */
const CONCURRENCY = 32;

/** Whether the end has come that was waited for. */
function isAwaited(job: Job, { remaining }: WaitOptions): boolean {
  return isTerminal(job) && (remaining || !job.remainingProcesses);
}

function goesOn(job: Job): string {
  return isTerminal(job) ? "has ended, but processes of it are left" : "has not ended yet";
}

/** Waits for the end of several jobs, and exits as the first of them that did not end with 0. */
async function waitForSeveral(
  context: CommandContext,
  client: Procman,
  jobs: readonly Job[],
  options: WaitOptions,
): Promise<void> {
  const { timeout = Number.POSITIVE_INFINITY } = options;
  const deadline = performance.now() + timeout;
  const waited = await inParallel(jobs, CONCURRENCY, async ({ id }) => {
    try {
      const timeoutMs = Math.max(0, deadline - performance.now());
      const until = waitUntil(options);
      const limit = timeoutMs === Number.POSITIVE_INFINITY ? {} : { timeoutMs };
      const job = await client.wait(id, { ...limit, ...defined({ until }) });
      await context.printJob(job, options);
      return job;
    } catch (error) {
      await context.reportFailure(error);
      return undefined;
    }
  });
  const known = waited.filter((job) => job !== undefined);
  if (known.length < waited.length) return;
  const unended = known.filter((job) => !isAwaited(job, options)).length;
  if (unended > 0) await context.cli.stderr.line(`procman: ${unended} jobs have not ended yet`);
  const codes = known.map(jobExitCode);
  context.exitCode = unended > 0 ? EXIT.timeout : (codes.find((code) => code !== 0) ?? EXIT.ok);
}

/** All that match, ended or not, since a label is that of a batch; but of all jobs those that run. */
function awaited(filter: JobFilter): JobFilter {
  return Object.keys(filter).length === 0 ? { statuses: UNENDED_STATUSES } : filter;
}

/** Returns what is waited for besides the job's end. @throws CliError */
function waitUntil(options: WaitOptions): WaitUntil | undefined {
  const { forOutput: pattern, forPort: port, remaining } = options;
  const start = outputStart(options);
  if (pattern !== undefined) return { type: "output", pattern, ...start };
  if (Object.keys(start).length > 0) {
    const message = "--stream, --stdout-offset and --stderr-offset go with --for-output";
    throw new CliError(message, { exitCode: EXIT.usage });
  }
  if (port !== undefined) return { type: "port", port };
  return remaining ? undefined : { type: "no-remaining" };
}

/** Prints what was waited for, or why it did not come. @returns the exit code */
async function reportOutcome(
  waited: WaitedJob,
  until: WaitUntil,
  { json }: JsonOption,
  { stdout, stderr }: Cli,
): Promise<number> {
  const { outcome } = waited;
  if (json) await stdout.line(waitedJson(waited));
  switch (outcome?.type) {
    case "line":
      // To a program it goes as it is.
      if (!json)
        await stdout.line(stdout.isTerminal ? printable(outcome.line.text) : outcome.line.text);
      return EXIT.ok;
    case "port":
      if (!json) await stdout.line(String(outcome.port));
      return EXIT.ok;
    case "searched":
    case undefined: {
      const endedFirst = outcome === undefined && isTerminal(waited);
      const what = until.type === "output" ? "no line matched" : "no such port was listened on";
      const summary = formatJobSummary(waited, stderr);
      await stderr.line(`procman: ${what}${endedFirst ? "" : " in time"}; ${summary}`);
      return endedFirst ? jobExitCode(waited) || EXIT.error : EXIT.timeout;
    }
  }
}
