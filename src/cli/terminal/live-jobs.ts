import { isTerminal, type Job } from "../../contract/job.js";
import { isMatch, type JobFilter, type JobsEvent, type Procman } from "../../contract/procman.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import type { Cli } from "../cli.js";
import { formatLiveTable } from "../format/job-table.js";
import { RedrawThrottle, Screen } from "./screen.js";

/** Run times grow also where nothing happens. */
const CLOCK_INTERVAL_MS = 1000;

export interface WatchJobsRequest {
  readonly client: Procman;
  readonly filter: JobFilter;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Keeps a table of jobs on the whole screen up to date until the signal is aborted. */
export async function watchOnScreen(
  { client, filter, signal }: WatchJobsRequest,
  cli: Cli,
): Promise<void> {
  const { stdout } = cli;
  const jobs = new LiveJobs(filter);
  const screen = new Screen(stdout);
  const watching = createLinkedAbortController(signal);
  let clock: NodeJS.Timeout | undefined;
  const draw = async () => {
    // Nothing is known before the first event.
    if (clock) await screen.draw(formatLiveTable(jobs.all, stdout));
  };
  const redraws = new RedrawThrottle(draw, (error) => watching.abort(error));
  const drawAnew = () => {
    screen.invalidate();
    redraws.restart();
  };
  const unsubscribers = [
    stdout.onResize(drawAnew),
    cli.onSuspension(async () => {
      redraws.stop();
      await screen.leave();
    }, drawAnew),
  ];
  try {
    for await (const event of client.watchJobs({ ...filter, signal: watching.signal })) {
      jobs.apply(event);
      redraws.request();
      clock ??= setInterval(() => redraws.request(), CLOCK_INTERVAL_MS);
    }
  } finally {
    watching.abort();
    clearInterval(clock);
    for (const unsubscribe of unsubscribers) unsubscribe();
    redraws.stop();
    await screen.leave();
  }
}

/** The jobs that match, kept up to date by the events of WatchJobs. */
export class LiveJobs {
  readonly #filter: JobFilter;
  readonly #jobs = new Map<string, Job>();

  constructor(filter: JobFilter) {
    this.#filter = filter;
  }

  apply(event: JobsEvent): void {
    switch (event.type) {
      case "snapshot":
        this.#jobs.clear();
        for (const job of event.jobs) this.#jobs.set(job.id, job);
        break;
      case "changed":
        if (isMatch(event.job, this.#filter)) this.#jobs.set(event.job.id, event.job);
        else this.#jobs.delete(event.job.id);
        break;
      case "removed":
        this.#jobs.delete(event.id);
        break;
      case "resumed":
      case "line":
      case "searched":
        break;
    }
  }

  /** Those that have not ended first, and of each kind the newest first. */
  get all(): readonly Job[] {
    return [...this.#jobs.values()].sort(
      (a, b) =>
        Number(isTerminal(a)) - Number(isTerminal(b)) ||
        b.createdTime.getTime() - a.createdTime.getTime(),
    );
  }
}
