import { setMaxListeners } from "node:events";
import { customAlphabet } from "nanoid";
import {
  ignoreNotRunning,
  invalidArgument,
  jobNotFound,
  ProcmanError,
} from "../contract/errors.js";
import { isTerminal, type Job, type TerminalState, type WindowSize } from "../contract/job.js";
import { jobsWithin, MAX_MESSAGE_BYTES } from "../contract/listed-job.js";
import type { Log } from "../contract/log.js";
import {
  type AttachEvent,
  type AttachOptions,
  type BoundedOutput,
  type CallOptions,
  type CancelOptions,
  type CleanupOptions,
  type FilteredFields,
  type GetOptions,
  hasFilters,
  type InputPosition,
  type JobFilter,
  type JobPage,
  type JobResults,
  type JobSelection,
  type JobsEvent,
  type ListOptions,
  type OutputChunk,
  type OutputLine,
  type OutputTruncation,
  type ReadOutputOptions,
  type RemoveJobsOptions,
  type RemoveOptions,
  type RenewLeaseOptions,
  type RestartOptions,
  type SearchedOffsets,
  type SendInputOptions,
  type SignalOptions,
  type StartOptions,
  type WaitedJob,
  type WaitOptions,
  type WatchEvent,
  type WatchJobsOptions,
  type WatchOptions,
} from "../contract/procman.js";
import { abortable, streamWithLinkedSignal, withLinkedSignal } from "../platform/abort-signals.js";
import { defined } from "../platform/defined.js";
import { inParallel } from "../platform/in-parallel.js";
import { awaitOutcome } from "./await-outcome.js";
import { endedAgoMs } from "./ended-jobs.js";
import { JobChanges } from "./job-changes.js";
import { JobNames } from "./job-names.js";
import { JobRegistry } from "./job-registry.js";
import { JobRetention, type RetentionLimits } from "./job-retention.js";
import { JobRestarts } from "./job-restarts.js";
import { DEFAULT_GRACE_PERIOD_MS, type JobContext, ManagedJob } from "./managed-job.js";
import { OutputGrowth } from "./output-growth.js";
import { formatPageToken, parsePageToken } from "./page-token.js";
import { requestedFilter } from "./line-pattern.js";
import { openRange, type OutputRange } from "./output-period.js";
import type {
  ChunkMemory,
  Engine,
  JobObserver,
  JobStore,
  Logs,
  OutputTimes,
  ServedProcman,
} from "./ports.js";
import { removeEnded } from "./remove-ended.js";
import { readOutput } from "./read-output.js";
import { SeveralJobs } from "./several-jobs.js";
import { StartRequests } from "./start-requests.js";
import {
  type RequestedSpec,
  requestedSpec,
  validDuration,
  validLease,
  validPageSize,
} from "./validate.js";
import { watchJobs } from "./watch-jobs.js";

/** How many jobs of a page are read at a time: each may need an open log. */
const VIEW_CONCURRENCY = 32;

/** How many jobs are taken over at a time after a restart. */
const ADOPT_CONCURRENCY = 16;

/** Makes ids of 62 random bits that are easy to type and cannot be taken for an option. */
const newId = customAlphabet("0123456789abcdefghijklmnopqrstuvwxyz", 12);

export interface JobManagerOptions {
  readonly engine: Engine;
  readonly store: JobStore;
  readonly logs: Logs;
  readonly log: Log;
  /** The age from which Cleanup removes ended jobs by default. */
  readonly cleanupAgeMs: number;
  /** Which ended jobs are removed by themselves. Default: none. */
  readonly retention?: RetentionLimits;
  readonly pollIntervalMs: number;
  /** The log limit of jobs that ask for none; undefined: no limit. */
  readonly defaultLogLimitBytes: number | undefined;
  /** The working directory of jobs that ask for none. Absolute. */
  readonly defaultWorkDir: string;
  /** How many removals WatchJobs can resume after, at least. */
  readonly keptRemovals?: number;
  /** Called at the end of a close, when nothing here touches the jobs' files any more. */
  readonly onClosed?: () => Promise<void>;
}

/** Keeps all jobs by their ids and carries out every operation on them. */
export class JobManager implements ServedProcman {
  readonly #options: JobManagerOptions;
  readonly #context: JobContext;
  readonly #jobs: JobRegistry;
  readonly #requests: StartRequests;
  readonly #names: JobNames;
  readonly #restarts: JobRestarts;
  readonly #several: SeveralJobs;
  readonly #changes: JobChanges;
  readonly #growth: OutputGrowth;
  readonly #retention: JobRetention | undefined;
  readonly #closing = new AbortController();
  readonly #observers = new Set<JobObserver>();
  readonly #starting = new Set<Promise<unknown>>();
  #nextSequence = 1;

  private constructor(options: JobManagerOptions) {
    this.#options = options;
    // Each waiting call adds a listener.
    setMaxListeners(0, this.#closing.signal);
    const { engine, store, logs, log, pollIntervalMs, defaultLogLimitBytes } = options;
    this.#context = {
      engine,
      store,
      logs,
      log,
      pollIntervalMs,
      defaultLogLimitBytes,
      onChange: (job) => this.#changed(job),
      onEnd: ({ state }) => {
        for (const observer of this.#observers) if (isTerminal(state)) tellEnd(observer, state);
      },
      onSettled: (job) => this.#jobs.settle(job),
      closing: this.#closing.signal,
    };
    this.#jobs = new JobRegistry(this.#context, { onLost: (job) => this.#removed(job) });
    this.#requests = new StartRequests((id) => this.#jobs.find(id));
    this.#names = new JobNames((name) => this.#jobs.unendedNamed(name));
    this.#restarts = new JobRestarts({
      context: this.#context,
      names: this.#names,
      requests: this.#requests,
      resolve: (idOrName) => this.#jobs.resolve(idOrName),
      newId,
      start: (id, spec, beforeShown) => this.#startJob(spec, id, beforeShown),
    });
    this.#several = new SeveralJobs({
      context: this.#context,
      single: this,
      hasId: (id) => this.#jobs.hasId(id),
      idsOf: (filter, eligible) => this.#jobs.idsOf(filter, eligible),
    });
    this.#changes = new JobChanges(options.keptRemovals);
    if (options.retention) this.#retention = this.#createRetention(options.retention);
    this.#growth = new OutputGrowth({
      jobs: () => this.#jobs.open(),
      onGrowth: (job) => this.#changed(job),
      pollIntervalMs,
    });
  }

  /** Takes over all jobs on record. */
  static async open(options: JobManagerOptions): Promise<JobManager> {
    const manager = new JobManager(options);
    await manager.#adoptAll();
    manager.#retention?.open(manager.#jobs.ended());
    return manager;
  }

  async start(options: StartOptions): Promise<Job> {
    options.signal?.throwIfAborted();
    this.#throwIfClosing();
    const spec = requestedSpec(options, this.#options.defaultWorkDir);
    const { ifRunning = "fail" } = options;
    const { name } = spec;
    const job = await this.#requests.once(spec, () =>
      this.#names.once(name, { ifRunning }, async () => {
        this.#throwIfClosing();
        if (name !== undefined && this.#jobs.hasId(name)) {
          throw invalidArgument("name", "must not be the id of a job");
        }
        return this.#untilClosed(this.#startJob(spec));
      }),
    );
    return job.view();
  }

  async restart(idOrName: string, options: RestartOptions = {}): Promise<Job> {
    options.signal?.throwIfAborted();
    this.#throwIfClosing();
    const restarting = this.#untilClosed(this.#restarts.restart(idOrName, options));
    const job = await this.#orLeave(restarting, options, idOrName);
    return job.view();
  }

  async get(id: string, { includeEnv = false }: GetOptions = {}): Promise<Job> {
    const job = this.#job(id);
    const view = await job.wholeView({ includeUsage: true });
    return includeEnv ? { ...view, env: job.record.spec.env } : view;
  }

  async list(options: ListOptions = {}): Promise<JobPage> {
    const pageSize = validPageSize(options);
    const before = options.pageToken
      ? parsePageToken(options.pageToken, options)
      : Number.POSITIVE_INFINITY;
    const {
      jobs: selected,
      hasMore,
      total,
    } = this.#jobs.select(options, {
      before,
      limit: pageSize,
    });
    const { includeUsage = false } = options;
    const views = await inParallel(selected, VIEW_CONCURRENCY, (job) => job.view({ includeUsage }));
    const found = views.filter((view) => view !== undefined);
    const jobs = jobsWithin(found, MAX_MESSAGE_BYTES);
    const isCut = jobs.length < found.length;
    const last = selected[isCut ? views.indexOf(jobs.at(-1)) : selected.length - 1];
    return {
      jobs,
      nextPageToken: last && (isCut || hasMore) ? formatPageToken(last.sequence, options) : "",
      totalSize: total,
      ...this.#unreadable(options),
    };
  }

  /** What List tells of jobs whose records cannot be read. Filters need a record. */
  #unreadable(options: ListOptions): Pick<JobPage, "unreadable" | "unreadableSize"> {
    const isFirstPage = (options.pageToken ?? "") === "";
    if (hasFilters(options) || !isFirstPage) return { unreadable: [], unreadableSize: 0 };
    const { unreadable } = this.#jobs;
    return { unreadable: unreadable.told(), unreadableSize: unreadable.size };
  }

  async *attach(
    id: string,
    options: AttachOptions = {},
    { transientData = false }: ChunkMemory = {},
  ): AsyncGenerator<AttachEvent> {
    const { follow = false } = options;
    const job = this.#job(id);
    const endReading = job.beginReading();
    let range: OutputRange | undefined;
    try {
      // Taken before reading begins: a client that resumes from what it says misses nothing.
      const opened = await job.view();
      range = await openRange(job, { ...options, follow });
      const { from, reading, times } = range;
      yield { type: "opened", job: opened };
      for await (const chunk of job.logs.chunks(from, { transientData, ...reading })) {
        if (chunk.isTruncation) yield truncated(chunk);
        else yield { type: "chunk", ...(times ? withTimes(chunk, endOf(chunk), times) : chunk) };
      }
      yield { type: "ended", job: await job.view() };
    } finally {
      range?.close();
      endReading();
    }
  }

  async readOutput(id: string, options: ReadOutputOptions = {}): Promise<BoundedOutput> {
    const job = this.#job(id);
    const endReading = job.beginReading();
    let range: OutputRange | undefined;
    try {
      // Before its output: where it has ended, all of that is there.
      const before = await job.view();
      range = await openRange(job, { ...options, follow: false });
      return { job: before, ...(await readOutput(job.logs, options, range)) };
    } finally {
      range?.close();
      endReading();
    }
  }

  async *watch(id: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent> {
    const { follow = true } = options;
    const filter = requestedFilter(options);
    const job = this.#job(id);
    const endReading = job.beginReading();
    let range: OutputRange | undefined;
    try {
      const opened = await job.view();
      range = await openRange(job, { ...options, follow, wholeLines: true });
      const { from, reading, begin, times } = range;
      yield { type: "opened", job: opened };
      const lines = filter
        ? job.logs.matchingLines(from, filter, reading)
        : job.logs.lines(from, reading);
      for await (const line of lines) {
        if ("isSearched" in line) yield searched(line);
        else if (line.isTruncation) yield truncated(line);
        // No part of it was written in the period.
        else if (line.nextOffset <= (begin[line.stream] ?? 0)) continue;
        else yield { type: "line", ...(times ? withTimes(line, line.nextOffset, times) : line) };
      }
      yield { type: "ended", job: await job.view() };
    } finally {
      range?.close();
      endReading();
    }
  }

  async wait(id: string, options: WaitOptions = {}): Promise<WaitedJob> {
    const job = this.#job(id);
    const outcome = await withLinkedSignal([options.signal, this.#closing.signal], (signal) =>
      awaitOutcome(job, options, signal),
    );
    return { ...(await job.view()), ...defined({ outcome }) };
  }

  watchJobs({ signal, ...options }: WatchJobsOptions = {}): AsyncIterable<JobsEvent> {
    const jobs = {
      changes: this.#changes,
      growth: this.#growth,
      matching: (filter: JobFilter) => this.#jobs.select(filter).jobs,
      find: (id: string) => this.#jobs.find(id),
      retryIntervalMs: this.#options.pollIntervalMs,
      open: () => this.#jobs.open(),
      usageIntervalMs: this.#options.pollIntervalMs,
    };
    return streamWithLinkedSignal([signal, this.#closing.signal], (either) =>
      watchJobs(jobs, options, either),
    );
  }

  async signal(id: string, signal: string, options: SignalOptions = {}): Promise<Job> {
    const job = this.#job(id);
    if (signal === "") throw invalidArgument("signal", "must not be empty");
    await job.signal(signal, options);
    return job.view();
  }

  async cancel(id: string, options: CancelOptions = {}): Promise<Job> {
    const job = this.#job(id);
    const graceMs = validDuration("grace_period", options.gracePeriodMs ?? DEFAULT_GRACE_PERIOD_MS);
    const { includeRemaining = false } = options;
    const stopping = includeRemaining
      ? job.stopWithRemaining("cancel", graceMs)
      : job.stop("cancel", graceMs);
    await this.#orLeave(stopping, options, job.id);
    return job.view();
  }

  async renewLease(id: string, { leaseMs }: RenewLeaseOptions = {}): Promise<Job> {
    const job = this.#job(id);
    await job.renewLease(validLease(leaseMs));
    return job.view();
  }

  cancelJobs(selection: JobSelection, options: CancelOptions = {}): Promise<JobResults> {
    return this.#withSeveral(options, (several) => several.cancel(selection, options));
  }

  signalJobs(
    selection: JobSelection,
    signal: string,
    options: SignalOptions = {},
  ): Promise<JobResults> {
    return this.#withSeveral(options, (several) => several.signal(selection, signal, options));
  }

  removeJobs(selection: JobSelection, options: RemoveJobsOptions = {}): Promise<JobResults> {
    return this.#withSeveral(options, (several) => several.remove(selection, options));
  }

  async sendInput(id: string, options: SendInputOptions): Promise<InputPosition> {
    const job = this.#job(id);
    return withLinkedSignal([options.signal, this.#closing.signal], (signal) =>
      job.sendInput(options, signal),
    );
  }

  async resizeWindow(id: string, size: WindowSize, _options: CallOptions = {}): Promise<Job> {
    const job = this.#job(id);
    await job.resize(size);
    return job.view();
  }

  async remove(
    id: string,
    options: RemoveOptions & Pick<CancelOptions, "gracePeriodMs"> = {},
  ): Promise<void> {
    const { unreadable = false, includeRemaining = false, gracePeriodMs } = options;
    this.#throwIfClosing();
    if (unreadable && !this.#jobs.find(id)) return this.#jobs.unreadable.remove(id);
    if (!this.#jobs.hasId(id)) throw this.#notRemovable(id);
    const job = this.#jobs.get(id);
    if (includeRemaining) {
      const ending = job.endRemaining(gracePeriodMs ?? DEFAULT_GRACE_PERIOD_MS);
      await this.#orLeave(ending, options, id).catch(ignoreNotRunning);
      await this.#orLeave(job.endOnEnd(), options, id);
    } else await job.remainingGoneSoon();
    await this.#removeAsItIs(id);
  }

  /** Removes a job at once, unless processes of it are left. */
  async #removeAsItIs(id: string): Promise<void> {
    const job = this.#jobs.get(id);
    await job.remove();
    if (!this.#jobs.delete(id)) return;
    const { name, labels, status } = job;
    this.#removed({ id, name, labels, status, requestId: job.record.spec.requestId });
  }

  async cleanup(
    options: CleanupOptions = {},
    maxRemovals = Number.POSITIVE_INFINITY,
  ): Promise<readonly string[]> {
    const { olderThanMs = this.#options.cleanupAgeMs, includeRemaining = false } = options;
    const minAgeMs = validDuration("older_than", olderThanMs);
    const old = filtered(this.#jobs.ended(), (job) => endedAgoMs(job) >= minAgeMs);
    const remove = includeRemaining
      ? (id: string) => this.remove(id, { includeRemaining })
      : (id: string) => this.#removeAsItIs(id);
    const { removed, failed } = await removeEnded(old, remove, maxRemovals);
    // The caller must learn which jobs were removed.
    for (const { job, error } of failed) this.#logUnlessClosing(error, job);
    return removed;
  }

  async refresh(_options: CallOptions = {}): Promise<readonly Job[]> {
    this.#throwIfClosing();
    const changed: Job[] = [];
    const before = [...this.#jobs.open()].map((job) => ({ job, status: job.status }));
    for (const { job, status } of before) {
      try {
        await job.refresh();
        // Also where a notice of the kernel's came first, once this was asked for.
        if (job.status !== status) changed.push(await job.view());
      } catch (error) {
        // A job that cannot be inspected now must not keep the others from it.
        this.#logUnlessClosing(error, job);
      }
    }
    return changed;
  }

  /**
   * Tells somebody of each job that starts or ends from now on. Returns how to end that.
   * @internal
   */
  observe(observer: JobObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Releases the jobs, which go on. Once it resolves, nothing here touches their files. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new ProcmanError("SHUTTING_DOWN", "procman is shutting down"));
    const { logs, onClosed } = this.#options;
    const logsClosed = logs.close();
    await Promise.allSettled(this.#starting);
    await this.#retention?.close();
    await Promise.all([...this.#jobs.objects()].map((job) => job.close()));
    await this.#jobs.unreadable.close();
    await logsClosed;
    await onClosed?.();
  }

  async #adoptAll(): Promise<void> {
    const { store, log } = this.#options;
    const { ended, records, unreadable } = await store.load();
    for (const { id, error } of unreadable) this.#jobs.unreadable.add(id, error);
    for (const job of [...ended].sort(bySequence)) {
      this.#jobs.addEnded(job);
      this.#requests.remember(job.requestId, job.id);
    }
    for (const { sequence } of [...ended, ...records]) {
      this.#nextSequence = Math.max(this.#nextSequence, sequence + 1);
    }
    await inParallel([...records].sort(bySequence), ADOPT_CONCURRENCY, async (record) => {
      const job = await ManagedJob.adopt(this.#context, record);
      if (!job) return;
      this.#jobs.add(job);
      this.#changes.add(job);
      this.#requests.remember(job.record.spec.requestId, job.id);
    });
    for (const job of this.#jobs.open()) await this.#carryOnRestart(job);
    log.info({ jobs: this.#jobs.size }, "took over the jobs on record");
  }

  async #carryOnRestart(job: ManagedJob): Promise<void> {
    const { restart } = job.record;
    if (!restart) return;
    // Before anybody can remove the job that was started.
    if (this.#jobs.hasId(restart.newId)) return job.endRestart();
    const restarting = this.#untilClosed(this.#restarts.carryOn(job, restart));
    restarting.catch((error: unknown) => this.#logUnlessClosing(error, job));
  }

  async #startJob(
    spec: RequestedSpec,
    id = newId(),
    beforeShown: () => Promise<void> = async () => {},
  ): Promise<ManagedJob> {
    const sequence = this.#nextSequence++;
    const job = await ManagedJob.start(this.#context, { id, ...spec }, sequence);
    await beforeShown();
    this.#changes.changed(job);
    this.#jobs.add(job);
    this.#noteEnd(job);
    for (const observer of this.#observers) observer.started();
    return job;
  }

  #createRetention(limits: RetentionLimits): JobRetention {
    const unended = (job: ManagedJob) => !job.ended.aborted;
    return new JobRetention({
      limits,
      logBytes: (id) => this.#options.store.logBytes(id),
      unendedIds: () => [...this.#jobs.open()].filter(unended).map(({ id }) => id),
      isRead: (id) => this.#jobs.isRead(id),
      remove: (jobs) => removeEnded(jobs, (id) => this.#removeAsItIs(id)),
      log: this.#options.log,
      closing: this.#closing.signal,
    });
  }

  #noteEnd({ endedJob }: ManagedJob): void {
    if (endedJob) this.#retention?.ended(endedJob);
  }

  async #withSeveral(
    options: CallOptions,
    act: (several: SeveralJobs) => Promise<JobResults>,
  ): Promise<JobResults> {
    options.signal?.throwIfAborted();
    this.#throwIfClosing();
    return this.#orLeave(act(this.#several), options);
  }

  /** Has a close wait for what starts a job. */
  #untilClosed(starting: Promise<ManagedJob>): Promise<ManagedJob> {
    this.#starting.add(starting);
    void starting.catch(() => {}).finally(() => this.#starting.delete(starting));
    return starting;
  }

  /**
   * Waits for an operation on a job that goes on where its caller leaves. Nobody is then
   * there to report a failure to, so it is logged.
   */
  #orLeave<T>(operation: Promise<T>, { signal }: CallOptions, jobId?: string): Promise<T> {
    return withLinkedSignal([signal, this.#closing.signal], async (either) => {
      try {
        return await abortable(operation, either);
      } catch (error) {
        if (either.aborted) {
          operation.catch((late: unknown) => {
            // It has ended with its caller, as it should.
            if (late !== either.reason) this.#logUnlessClosing(late, { id: jobId });
          });
        }
        throw error;
      }
    });
  }

  #job(idOrName: string): ManagedJob {
    this.#throwIfClosing();
    return this.#jobs.resolve(idOrName);
  }

  /** Tells who gives a name what to give: the same call again must not remove another job. */
  #notRemovable(id: string): ProcmanError {
    const named = this.#jobs.newestNamed(id);
    if (!named) return jobNotFound(id);
    const message = `${id} is a name, and no job's id; the newest job of that name is ${named.id}`;
    return new ProcmanError("JOB_NOT_FOUND", message, { jobId: id });
  }

  #changed(job: ManagedJob): void {
    // A job that is still being started, or was removed, is not announced.
    if (!this.#jobs.has(job)) return;
    this.#changes.changed(job);
    this.#noteEnd(job);
  }

  #removed(job: FilteredFields & { readonly id: string; readonly requestId: string }): void {
    this.#requests.forget(job.requestId);
    this.#retention?.removed(job.id);
    this.#changes.removed(job);
  }

  #throwIfClosing(): void {
    this.#closing.signal.throwIfAborted();
  }

  #logUnlessClosing(error: unknown, { id }: { readonly id?: string | undefined }): void {
    if (this.#closing.signal.aborted) return;
    const fields = { ...defined({ jobId: id }), err: error };
    this.#options.log.error(fields, "an operation on a job failed");
  }
}

function tellEnd(observer: JobObserver, state: TerminalState): void {
  const { status, startedTime, completedTime } = state;
  const runMs = startedTime && Math.max(0, completedTime.getTime() - startedTime.getTime());
  observer.ended(status, runMs);
}

function* filtered<T>(all: Iterable<T>, isWanted: (each: T) => boolean): Generator<T> {
  for (const each of all) if (isWanted(each)) yield each;
}

function bySequence(a: { readonly sequence: number }, b: { readonly sequence: number }): number {
  return a.sequence - b.sequence;
}

/** Adds when a piece of output was written, which ends at `end`. */
function withTimes<Output extends OutputChunk | OutputLine>(
  output: Output,
  end: number,
  times: OutputTimes,
): Output {
  const { stream, offset, seenTime } = output;
  return { ...output, writtenBetween: times.writtenBetween(stream, offset, end, seenTime) };
}

function endOf({ offset, data }: OutputChunk): number {
  return offset + data.length;
}

function searched({ stdoutOffset, stderrOffset }: SearchedOffsets) {
  return { type: "searched", stdoutOffset, stderrOffset } as const;
}

function truncated({ stream, offset }: OutputTruncation) {
  return { type: "truncated", stream, offset } as const;
}
