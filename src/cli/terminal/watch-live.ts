import type { JobFilter, Procman } from "../../contract/procman.js";
import type { Job } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { commandLine } from "../format/command-line.js";
import { exitText, statusText } from "../format/job-facts.js";
import { jobsEventJson } from "../../wire/json.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { LiveJobs } from "./live-jobs.js";
import { formatLiveTable } from "../format/live-table.js";
import { Redraws } from "./redraws.js";
import { Screen } from "./screen.js";

/** Run times grow also where nothing happens. */
const TICK_MS = 1000;

interface Watched {
  readonly client: Procman;
  readonly filter: JobFilter;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** A table on the whole screen, kept up to date until the signal is aborted. */
export async function watchOnScreen({ client, filter, signal }: Watched, cli: Cli): Promise<void> {
  const { stdout } = cli;
  const jobs = new LiveJobs(filter);
  const screen = new Screen(stdout);
  const watching = createLinkedAbortController(signal);
  let tick: NodeJS.Timeout | undefined;
  const draw = async () => {
    // Nothing is known before the first event.
    if (tick) await screen.draw(formatLiveTable(jobs.all, stdout));
  };
  const redraws = new Redraws(draw, (error) => watching.abort(error));
  const drawAnew = () => {
    screen.invalidate();
    redraws.start();
  };
  const stopListening = [
    stdout.onResize(drawAnew),
    cli.onSuspension(async () => {
      redraws.stop();
      await screen.leave();
    }, drawAnew),
  ];
  try {
    for await (const event of client.watchJobs({ ...filter, signal: watching.signal })) {
      jobs.apply(event);
      redraws.soon();
      tick ??= setInterval(() => redraws.soon(), TICK_MS);
    }
  } finally {
    watching.abort();
    clearInterval(tick);
    for (const stop of stopListening) stop();
    redraws.stop();
    await screen.leave();
  }
}

/** The events as JSON lines. */
export async function printJobsEvents(
  { client, filter, signal }: Watched,
  { stdout }: Cli,
): Promise<void> {
  for await (const event of client.watchJobs({ ...filter, signal })) {
    await stdout.line(jobsEventJson(event));
  }
}

/** A line a job, and another one whenever it says something new. */
export async function printJobLines(
  { client, filter, signal }: Watched,
  { stdout }: Cli,
): Promise<void> {
  const printed = new Map<string, string>();
  const print = async (job: Job) => {
    const line = jobLine(job);
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
        break;
    }
  }
}

function jobLine(job: Job): string {
  const columns = [job.id, statusText(job).padEnd(12), exitText(job).padEnd(4), commandLine(job)];
  return columns.join("  ");
}
