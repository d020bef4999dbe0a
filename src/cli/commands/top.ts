import { Command, Option } from "commander";
import type { Job } from "../../contract/job.js";
import type { JobFilter, JobsEvent, Procman } from "../../contract/procman.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { defined } from "../../platform/defined.js";
import { sleep } from "../../platform/timers.js";
import { jobJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { EXIT } from "../exit-codes.js";
import { CpuRates } from "../format/cpu-rates.js";
import {
  formatTopScreen,
  formatTopTable,
  type Sort,
  SORT_NAMES,
  SORTS,
  sortedForTop,
  type TopOrder,
} from "../format/top-table.js";
import { LiveJobs, type ScreenView, watchOnScreen } from "../terminal/live-jobs.js";
import type { CommandContext } from "./command-context.js";
import { pagesOfJobs } from "./find-jobs.js";
import { type JsonOption, type KeyValues, parseKeyValue, parseJobName } from "./options.js";

interface TopOptions extends JsonOption {
  readonly sort: Sort;
  readonly once?: boolean;
  readonly label?: KeyValues;
  readonly name?: string;
}

/** Between the two measurements that tell how much CPU is used: the server's measure once a second. */
const MEASURED_FOR_MS = 1100;

const CTRL_C = "\u0003";
const CTRL_Z = "\u001a";

const HELP = `
CPU% is of one processor: 150 is one and a half of them. What is not known is empty.
On a terminal the table is kept up to date: keys sort it, q or Ctrl-C leaves. Elsewhere,
and with --once or --json, it is printed once, after it was measured for a second.
--json has an object a line for each job, as of ls, with "cpuPercent" besides.

Examples:
  procman top
  procman top --once --sort memory
  procman top --json | jq -r 'select(.cpuPercent > 90).id'`;

export function topCommand(context: CommandContext): Command {
  const { cli } = context;
  return new Command("top")
    .description("show what the jobs that run use: CPU, memory, progress")
    .addOption(
      new Option("--sort <what>", "what comes first: the most of this")
        .choices(SORT_NAMES)
        .default("cpu"),
    )
    .option("--once", "print the table once")
    .option("--json", "print a JSON object for each job, once")
    .option(
      "-l, --label <key=value>",
      "only jobs with this label; of several, with all of them",
      parseKeyValue,
    )
    .option("--name <name>", "only jobs with this name", parseJobName)
    .addHelpText("after", HELP)
    .action(async ({ sort, once, json, label = {}, name }: TopOptions) => {
      const filter: JobFilter = {
        statuses: ["pending", "running"],
        labels: label,
        ...defined({ name }),
      };
      return context.withClient(async (client) => {
        if (once || json || !cli.stdout.isScreen) {
          return printOnce(client, filter, { sort, json: json ?? false }, cli);
        }
        const signal = cli.interruption(["SIGINT", "SIGTERM", "SIGHUP"]);
        const isLeft = await watchTop(client, filter, sort, signal, cli);
        if (!isLeft) context.exitCode = EXIT.interrupted;
      });
    });
}

async function printOnce(
  client: Procman,
  filter: JobFilter,
  { sort, json }: { readonly sort: Sort; readonly json: boolean },
  { stdout }: Cli,
): Promise<void> {
  const rates = new CpuRates();
  const measure = async () => {
    const jobs: Job[] = [];
    for await (const page of pagesOfJobs(client, { ...filter, includeUsage: true })) {
      for (const job of page.jobs) rates.note(job);
      jobs.push(...page.jobs);
    }
    return jobs;
  };
  if ((await measure()).length > 0) await sleep(MEASURED_FOR_MS);
  const percentOf = (job: Job) => rates.percentOf(job);
  const jobs = sortedForTop(await measure(), { sort, isReversed: false }, percentOf);
  if (!json) return stdout.lines(formatTopTable(jobs, percentOf, stdout));
  const lines = jobs.map((job) => {
    const fields = JSON.parse(jobJson(job)) as object;
    return JSON.stringify({ ...fields, ...defined({ cpuPercent: percentOf(job) }) });
  });
  return stdout.lines(lines);
}

/** @returns whether it was left by a key for that; else something ended it */
async function watchTop(
  client: Procman,
  filter: JobFilter,
  sort: Sort,
  signal: AbortSignal,
  cli: Cli,
): Promise<boolean> {
  const leaving = createLinkedAbortController(signal);
  const view = new TopView(filter, sort);
  let isLeft = false;
  const onKey = (key: string) => {
    if (key === CTRL_Z) return void process.kill(process.pid, "SIGTSTP");
    isLeft = key === "q";
    if (isLeft || key === CTRL_C) leaving.abort();
    else view.press(key);
  };
  const request = { client, filter, includeUsage: true, signal: leaving.signal };
  try {
    await watchOnScreen(request, cli, view, onKey);
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
  }
  return isLeft;
}

class TopView implements ScreenView {
  readonly #jobs: LiveJobs;
  readonly #rates = new CpuRates();
  #order: TopOrder;

  constructor(filter: JobFilter, sort: Sort) {
    this.#jobs = new LiveJobs(filter);
    this.#order = { sort, isReversed: false };
  }

  apply(event: JobsEvent): void {
    this.#jobs.apply(event);
    if (event.type === "snapshot") for (const job of event.jobs) this.#rates.note(job);
    if (event.type === "changed") this.#rates.note(event.job);
    if (event.type === "removed") this.#rates.forget(event.id);
  }

  press(key: string): void {
    const sort = SORT_NAMES.find((name) => SORTS[name].key === key);
    if (sort === undefined) return;
    const isReversed = sort === this.#order.sort && !this.#order.isReversed;
    this.#order = { sort, isReversed };
  }

  lines(output: Cli["stdout"]): string[] {
    const cpuPercentOf = (job: Job) => this.#rates.percentOf(job);
    return formatTopScreen(this.#jobs.all, { order: this.#order, cpuPercentOf }, output);
  }
}
