import { isTerminal, type Job } from "../../contract/job.js";
import { isMatch, type JobFilter, type JobsEvent, type Procman } from "../../contract/procman.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import type { Cli } from "../cli.js";
import { formatLiveTable } from "../format/job-table.js";
import type { Output } from "./output.js";
import { RedrawThrottle, Screen } from "./screen.js";

/** Run times grow also where nothing happens. */
const CLOCK_INTERVAL_MS = 1000;

export interface WatchJobsRequest {
  readonly client: Procman;
  readonly filter: JobFilter;
  /** Whether what the jobs use is shown. Default false. */
  readonly includeUsage?: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** What is on the screen. */
export interface ScreenView {
  apply(event: JobsEvent): void;
  lines(output: Output): readonly string[];
}

/**
 * Keeps a view of jobs on the whole screen up to date until the signal is aborted.
 * @param onKey called for each key that is pressed; absent: keys are the terminal's
 */
export async function watchOnScreen(
  { client, filter, includeUsage = false, signal }: WatchJobsRequest,
  cli: Cli,
  view: ScreenView,
  onKey?: (key: string) => void,
): Promise<void> {
  const { stdout, stdin } = cli;
  const screen = new Screen(stdout);
  const watching = createLinkedAbortController(signal);
  let clock: NodeJS.Timeout | undefined;
  const draw = async () => {
    // Nothing is known before the first event.
    if (clock) await screen.draw(view.lines(stdout));
  };
  const redraws = new RedrawThrottle(draw, (error) => watching.abort(error));
  const hasKeys = onKey !== undefined && stdin.isTerminal;
  let leaveRawMode = hasKeys ? stdin.enterRawMode() : () => {};
  const drawAnew = () => {
    screen.invalidate();
    redraws.restart();
  };
  const unsubscribers = [
    stdout.onResize(drawAnew),
    cli.onSuspension(
      async () => {
        redraws.stop();
        leaveRawMode();
        await screen.leave();
      },
      () => {
        if (hasKeys) leaveRawMode = stdin.enterRawMode();
        drawAnew();
      },
    ),
    // For a second signal, which ends the process at once.
    cli.onExit(() => leaveRawMode()),
  ];
  const readKeys = async () => {
    for await (const piece of hasKeys ? stdin.pieces(watching.signal) : []) {
      for (const key of Buffer.from(piece).toString()) onKey?.(key);
      redraws.request();
    }
  };
  const reading = readKeys().catch((error: unknown) => watching.abort(error));
  try {
    const options = { ...filter, ...(includeUsage && { includeUsage }) };
    for await (const event of client.watchJobs({ ...options, signal: watching.signal })) {
      view.apply(event);
      redraws.request();
      clock ??= setInterval(() => redraws.request(), CLOCK_INTERVAL_MS);
    }
  } finally {
    watching.abort();
    clearInterval(clock);
    for (const unsubscribe of unsubscribers) unsubscribe();
    redraws.stop();
    await reading;
    leaveRawMode();
    await screen.leave();
  }
}

/** The jobs that match, kept up to date by the events of WatchJobs, as `ls --watch` shows them. */
export class LiveJobs implements ScreenView {
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

  lines(output: Output): string[] {
    return formatLiveTable(this.all, output);
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
