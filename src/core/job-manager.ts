import { setMaxListeners } from "node:events";
import { customAlphabet } from "nanoid";
import type {
  AttachEvent,
  AttachOptions,
  CallOptions,
  CancelOptions,
  CleanupOptions,
  GetOptions,
  InputPosition,
  JobFilter,
  JobPage,
  JobsEvent,
  ListOptions,
  OutputStart,
  SendInputOptions,
  StartOptions,
  WaitedJob,
  WaitOptions,
  WatchEvent,
  WatchJobsOptions,
  WatchOptions,
} from "../contract/procman.js";
import { awaitOutcome } from "./await-outcome.js";
import { abortable, streamWithLinkedSignal, withLinkedSignal } from "../platform/abort-signals.js";
import { invalidArgument, jobNotFound, ProcmanError } from "../contract/errors.js";
import { isTerminal, type Job, type WindowSize } from "../contract/job.js";
import { inParallel } from "../platform/in-parallel.js";
import { JobChanges } from "./job-changes.js";
import type { JobEntry } from "./job-entry.js";
import { isMatch } from "./job-filter.js";
import { JobInput } from "./job-input.js";
import { JobViews } from "./job-views.js";
import type { Log } from "../contract/log.js";
import { OutputGrowth } from "./output-growth.js";
import type { ChunkMemory, ServedProcman } from "./served-procman.js";
import { formatPageToken, parsePageToken } from "./page-token.js";
import type { Engine, JobStore, OutputPositions, OutputReader } from "./ports.js";
import { StartRequests } from "./start-requests.js";
import { DEFAULT_GRACE_PERIOD_MS, Supervisor } from "./supervisor.js";
import { requestedSpec, validDuration, validPageSize } from "./validate.js";
import { watchJobs } from "./watch-jobs.js";

/** How many jobs are taken over at a time after a restart. */
const ADOPT_CONCURRENCY = 16;

/** 62 bits: no two alike, easy to type, never mistaken for an option. */
const newId = customAlphabet("0123456789abcdefghijklmnopqrstuvwxyz", 12);

export interface JobManagerOptions {
  readonly engine: Engine;
  readonly store: JobStore;
  readonly output: OutputReader;
  readonly log: Log;
  /** Age from which Cleanup removes ended jobs, where it is not told one. */
  readonly cleanupAgeMs: number;
  readonly pollIntervalMs: number;
  /** For jobs that ask for none; undefined: no limit. */
  readonly defaultLogLimitBytes: number | undefined;
  /** Where commands run that were not told. Absolute. */
  readonly defaultWorkDir: string;
  /** How many removals those who watch jobs can come back after, at least. */
  readonly keptRemovals?: number;
}

/** The domain's front: every verb on jobs, over the ports it is given. */
export class JobManager implements ServedProcman {
  readonly #options: JobManagerOptions;
  readonly #supervisor: Supervisor;
  readonly #input: JobInput;
  readonly #jobs = new Map<string, JobEntry>();
  /** Jobs whose records cannot be read, with why. They are left alone. */
  readonly #unreadable = new Map<string, Error>();
  readonly #requests = new StartRequests();
  readonly #changes: JobChanges;
  readonly #growth: OutputGrowth;
  readonly #views: JobViews;
  readonly #closing = new AbortController();
  readonly #starting = new Set<Promise<unknown>>();
  #nextSequence = 1;

  protected constructor(options: JobManagerOptions) {
    this.#options = options;
    // Every call that waits listens to it.
    setMaxListeners(0, this.#closing.signal);
    this.#changes = new JobChanges(options.keptRemovals);
    this.#views = new JobViews(options.store, options.output);
    this.#growth = new OutputGrowth({
      jobs: () => this.#jobs.values(),
      sizes: (entry) => options.output.sizes(this.#dirOf(entry)),
      onGrowth: (entry) => this.#changed(entry),
      pollIntervalMs: options.pollIntervalMs,
    });
    this.#supervisor = new Supervisor({
      engine: options.engine,
      store: options.store,
      output: options.output,
      log: options.log,
      pollIntervalMs: options.pollIntervalMs,
      defaultLogLimitBytes: options.defaultLogLimitBytes,
      onChange: (entry) => this.#changed(entry),
      closing: this.#closing.signal,
    });
    this.#input = new JobInput({
      engine: options.engine,
      store: options.store,
      reconcile: (entry) => this.#supervisor.reconcile(entry),
    });
  }

  /** Takes over every job there is a record of. */
  protected async recover(): Promise<void> {
    const { store, log } = this.#options;
    const { records, unreadable } = await store.load();
    for (const { id, error } of unreadable) {
      this.#unreadable.set(id, error);
      log.error({ jobId: id, err: error }, "a job's record cannot be read; it is left in place");
    }
    records.sort((a, b) => a.sequence - b.sequence);
    this.#nextSequence = (records.at(-1)?.sequence ?? 0) + 1;
    await inParallel(records, ADOPT_CONCURRENCY, async (record) => {
      const entry = await this.#supervisor.adopt(record);
      if (!entry) return;
      this.#jobs.set(entry.id, entry);
      this.#changes.add(changedJob(entry));
      this.#requests.remember(entry.record.spec, entry);
    });
    log.info({ jobs: this.#jobs.size }, "took over the jobs on record");
  }

  async start(options: StartOptions): Promise<Job> {
    options.signal?.throwIfAborted();
    this.#throwIfClosing();
    const spec = requestedSpec(options, this.#options.defaultWorkDir);
    const entry = await this.#requests.once(spec, () => {
      const starting = this.#supervisor
        .start({ id: newId(), ...spec }, this.#nextSequence++)
        .then((entry) => {
          this.#jobs.set(entry.id, entry);
          this.#changed(entry);
          return entry;
        });
      this.#starting.add(starting);
      void starting.catch(() => {}).finally(() => this.#starting.delete(starting));
      return starting;
    });
    return this.#views.of(entry);
  }

  async get(id: string, { includeEnv = false }: GetOptions = {}): Promise<Job> {
    const entry = this.#entry(id);
    const job = await this.#views.of(entry);
    return includeEnv ? { ...job, env: entry.record.spec.env } : job;
  }

  async list(options: ListOptions = {}): Promise<JobPage> {
    const pageSize = validPageSize(options);
    const before = options.pageToken
      ? parsePageToken(options.pageToken, options)
      : Number.POSITIVE_INFINITY;
    const matching = this.#matching(options);
    const rest = matching.filter((entry) => entry.record.sequence < before);
    const page = rest.slice(0, pageSize);
    const last = page.at(-1);
    return {
      jobs: await Promise.all(page.map((entry) => this.#views.of(entry))),
      nextPageToken:
        last && rest.length > page.length ? formatPageToken(last.record.sequence, options) : "",
      totalSize: matching.length,
    };
  }

  async *attach(
    id: string,
    options: AttachOptions = {},
    { transientData = false }: ChunkMemory = {},
  ): AsyncGenerator<AttachEvent> {
    const entry = this.#entry(id);
    // First: a client that comes back goes on from what it says, and misses nothing.
    const job = await this.#views.of(entry);
    const from = await this.#outputStart(entry, options);
    const reading = { ...(options.follow ? { ended: entry.ended } : {}), transientData };
    yield { type: "opened", job };
    const chunks = streamWithLinkedSignal([options.signal, this.#closing.signal], (signal) =>
      this.#options.output.chunks(this.#dirOf(entry), from, { ...reading, signal }),
    );
    for await (const chunk of chunks) yield { type: "chunk", ...chunk };
    yield { type: "ended", job: await this.#views.of(entry) };
  }

  async *watch(id: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent> {
    const entry = this.#entry(id);
    const job = await this.#views.of(entry);
    const from = await this.#outputStart(entry, options);
    yield { type: "opened", job };
    const lines = streamWithLinkedSignal([options.signal, this.#closing.signal], (signal) =>
      this.#options.output.lines(this.#dirOf(entry), from, { ended: entry.ended, signal }),
    );
    for await (const line of lines) yield { type: "line", ...line };
    yield { type: "ended", job: await this.#views.of(entry) };
  }

  async wait(id: string, options: WaitOptions = {}): Promise<WaitedJob> {
    const entry = this.#entry(id);
    const job = { ...this.#options, ended: entry.ended, dir: this.#dirOf(entry) };
    const outcome = await withLinkedSignal([options.signal, this.#closing.signal], (signal) =>
      awaitOutcome(job, options, signal),
    );
    return { ...(await this.#views.of(entry)), ...(outcome ? { outcome } : {}) };
  }

  watchJobs({ signal, ...options }: WatchJobsOptions = {}): AsyncIterable<JobsEvent> {
    const jobs = {
      changes: this.#changes,
      growth: this.#growth,
      views: this.#views,
      matching: (filter: JobFilter) => this.#matching(filter),
      entry: (id: string) => this.#jobs.get(id),
    };
    return streamWithLinkedSignal([signal, this.#closing.signal], (either) =>
      watchJobs(jobs, options, either),
    );
  }

  async signal(id: string, signal: string, _options: CallOptions = {}): Promise<Job> {
    const entry = this.#entry(id);
    if (signal === "") throw invalidArgument("signal", "must not be empty");
    await this.#supervisor.signal(entry, signal);
    return this.#views.of(entry);
  }

  async cancel(id: string, options: CancelOptions = {}): Promise<Job> {
    const entry = this.#entry(id);
    const graceMs = validDuration("grace_period", options.gracePeriodMs ?? DEFAULT_GRACE_PERIOD_MS);
    const stopping = this.#supervisor.stop(entry, "cancel", graceMs);
    await withLinkedSignal([options.signal, this.#closing.signal], async (signal) => {
      try {
        await abortable(stopping, signal);
      } catch (error) {
        // The job is ended all the same; only nobody waits for it here.
        if (signal.aborted) stopping.catch((late: unknown) => this.#logUnlessClosing(late, entry));
        throw error;
      }
    });
    return this.#views.of(entry);
  }

  async sendInput(id: string, options: SendInputOptions): Promise<InputPosition> {
    const entry = this.#entry(id);
    return withLinkedSignal([options.signal, this.#closing.signal], (signal) =>
      this.#input.send(entry, options, signal),
    );
  }

  async resizeWindow(id: string, size: WindowSize, _options: CallOptions = {}): Promise<Job> {
    const entry = this.#entry(id);
    await this.#input.resize(entry, size);
    return this.#views.of(entry);
  }

  async remove(id: string, _options: CallOptions = {}): Promise<void> {
    const entry = this.#entry(id);
    // What it has written is known from here on, also while its files go.
    await this.#views.of(entry).catch(() => {});
    await this.#supervisor.remove(entry);
    this.#forget(entry);
  }

  async cleanup(options: CleanupOptions = {}): Promise<readonly string[]> {
    const olderThanMs = validDuration(
      "older_than",
      options.olderThanMs ?? this.#options.cleanupAgeMs,
    );
    const removed: string[] = [];
    for (const entry of this.#jobs.values()) {
      if (endedAgo(entry) < olderThanMs) continue;
      try {
        await this.remove(entry.id);
        removed.push(entry.id);
      } catch (error) {
        if (error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND") continue;
        if (removed.length === 0) throw error;
        // What was removed is removed, and the caller is to know of it.
        this.#logUnlessClosing(error, entry);
      }
    }
    return removed;
  }

  async refresh(_options: CallOptions = {}): Promise<readonly Job[]> {
    this.#throwIfClosing();
    const changed: Job[] = [];
    for (const entry of this.#jobs.values()) {
      if (isTerminal(entry.record.state)) continue;
      try {
        if (await this.#supervisor.reconcile(entry)) changed.push(await this.#views.of(entry));
      } catch (error) {
        // One that cannot be looked at now does not keep it from the others.
        this.#logUnlessClosing(error, entry);
      }
    }
    return changed;
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new ProcmanError("SHUTTING_DOWN", "procman is shutting down"));
    await Promise.allSettled(this.#starting);
    this.#supervisor.close();
    await Promise.all([...this.#jobs.values()].map((entry) => entry.exclusively(async () => {})));
    for (const entry of this.#jobs.values()) entry.release();
    this.#options.engine.close();
    await this.#options.output.close();
  }

  #entry(id: string): JobEntry {
    this.#throwIfClosing();
    const entry = this.#jobs.get(id);
    if (entry) return entry;
    const cause = this.#unreadable.get(id);
    if (!cause) throw jobNotFound(id);
    throw new ProcmanError("RECORD_UNREADABLE", `the record of job ${id} cannot be read`, {
      jobId: id,
      cause,
    });
  }

  #matching(filter: JobFilter): JobEntry[] {
    return [...this.#jobs.values()]
      .filter((entry) => isMatch(changedJob(entry), filter))
      .sort((a, b) => b.record.sequence - a.record.sequence);
  }

  #outputStart(entry: JobEntry, start: OutputStart): Promise<OutputPositions> {
    return this.#options.output.resolveStart(this.#dirOf(entry), start);
  }

  #forget(entry: JobEntry): void {
    this.#jobs.delete(entry.id);
    this.#requests.forget(entry.record.spec);
    this.#changes.removed(entry.id);
  }

  #changed(entry: JobEntry): void {
    // Not yet, or not any more, where it is not among the jobs.
    if (this.#jobs.get(entry.id) === entry) this.#changes.changed(changedJob(entry));
  }

  #dirOf(entry: JobEntry): string {
    return this.#options.store.dirOf(entry.id);
  }

  #throwIfClosing(): void {
    this.#closing.signal.throwIfAborted();
  }

  #logUnlessClosing(error: unknown, entry: JobEntry): void {
    if (this.#closing.signal.aborted) return;
    this.#options.log.error({ jobId: entry.id, err: error }, "an operation on a job failed");
  }
}

function changedJob({ id, record: { spec, state } }: JobEntry) {
  return { id, labels: spec.labels, status: state.status };
}

/**
 * Milliseconds since a job ended; below zero while it has not. A wall clock that
 * jumped ahead makes no job older than this process has seen it to be.
 */
function endedAgo({ record: { state }, endedAtMs }: JobEntry): number {
  if (!isTerminal(state)) return Number.NEGATIVE_INFINITY;
  const byWallClockMs = Math.max(0, Date.now() - state.completedTime.getTime());
  if (endedAtMs === undefined) return byWallClockMs;
  return Math.min(byWallClockMs, performance.now() - endedAtMs);
}
