import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import {
  invalidArgument,
  isNotRunning,
  jobNotFound,
  jobNotRunning,
  ProcmanError,
} from "../contract/errors.js";
import {
  isTerminal,
  type Job,
  type JobSpec,
  type Status,
  type Usage,
  type WindowSize,
} from "../contract/job.js";
import { listedJob } from "../contract/listed-job.js";
import type { Log } from "../contract/log.js";
import type { InputPosition, SendInputOptions } from "../contract/procman.js";
import { IS_OVER } from "../platform/abort-signals.js";
import { crashPoint } from "../platform/crash-point.js";
import { defined } from "../platform/defined.js";
import { SerialQueue } from "../platform/serial-queue.js";
import { signalName } from "../platform/signal-name.js";
import { sleep as abortableSleep, startTimer } from "../platform/timers.js";
import { awaitsOnEnd, type EndedJob, endedJob, isSettled } from "./ended-jobs.js";
import { Lease } from "./lease.js";
import { JobOutput, type WrittenOutput } from "./job-output.js";
import type {
  Engine,
  JobLogs,
  JobProcess,
  JobRecord,
  JobStore,
  Logs,
  Observation,
  PreparedCommand,
  RemainingProcesses,
  RestartIntent,
  StopIntent,
} from "./ports.js";
import { JobUsage, usageOf } from "./job-usage.js";
import {
  endedAlready,
  hasOnEnd,
  hasProcesses,
  markOf,
  Remaining,
  remainingAtEnd,
} from "./remaining.js";
import { SavedRecord } from "./saved-record.js";
import {
  advanceRecord,
  leaseOf,
  logLimitOf,
  pendingRecord,
  started,
  type StopKind,
} from "./transitions.js";
import { validInputPiece, validWindowSize } from "./validate.js";

/** The default time between SIGTERM and SIGKILL. */
export const DEFAULT_GRACE_PERIOD_MS = 5000;

/** How often a job that is about to end is inspected. */
const ENDING_POLL_INTERVAL_MS = 20;

/** How long to wait between inspections for the exit record, once the processes were ended. */
/** How often what is run at a job's end is looked at, at least. */
const MAX_ON_END_POLL_MS = 1000;

const INITIAL_EXIT_BACKOFF_MS = 2;
const MAX_EXIT_BACKOFF_MS = 200;

/** How long a removal waits for processes that are about to end, as a pipeline's first ones do. */
const REMAINING_END_MS = 100;

/** Shared by all jobs that had ended when they were loaded. */
const HAS_ENDED = AbortSignal.abort();
setMaxListeners(0, HAS_ENDED);

/** What a job was last shown as, and what that was made of. */
interface LastView {
  readonly record: JobRecord;
  readonly output: WrittenOutput;
  readonly usage: Usage | undefined;
  readonly expires: Date | undefined;
  readonly job: Job;
}

export interface ViewOptions {
  /** The state to show. Default: the current one. */
  readonly record?: JobRecord;
  /** Whether the usage of a job that has not ended is measured. Default: false. */
  readonly includeUsage?: boolean;
}
/** Why a job is stopped. To a job whose lease has run out it is a Cancel that nobody asked for. */
type StopCause = StopKind | "lease";

/** What the jobs of one manager share. */
export interface JobContext {
  readonly engine: Engine;
  readonly store: JobStore;
  readonly logs: Logs;
  readonly log: Log;
  readonly pollIntervalMs: number;
  /** The log limit of jobs that ask for none; undefined: no limit. */
  readonly defaultLogLimitBytes: number | undefined;
  /** Called when a job's state has changed, or an ended job's logs were trimmed. */
  readonly onChange: (job: ManagedJob) => void;
  /** Called once when a job has ended, if this process has seen that. */
  readonly onEnd: (record: JobRecord) => void;
  /** Called when a job may have become settled. */
  readonly onSettled: (job: ManagedJob) => void;
  /** Aborted when this process releases its jobs. */
  readonly closing: AbortSignal;
}

/**
 * One job with all that this process holds for it: record, processes, logs, timers,
 * and the queue of operations that change it. Starts the job, notices its end, stops
 * and removes it.
 *
 * Nothing is known here alone: after a crash, everything is read again from the
 * job's files and processes.
 */
export class ManagedJob {
  readonly #context: JobContext;
  readonly #record: SavedRecord;
  /** The operations that change the job, one after another. */
  readonly #operations = new SerialQueue();
  #process: JobProcess | undefined;
  #logs: JobLogs | undefined;
  /** Aborted at the job's end; absent where it had ended before this process. */
  readonly #ended: AbortController | undefined;
  /** When this process noticed the end, by a clock that never jumps. */
  #seenEndMs: number | undefined;
  /** Settles when no stop is under way any more. */
  #stops: Promise<unknown> = Promise.resolve();
  #stopWatching: (() => void) | undefined;
  /** Cancels the timer of the job's time limit. */
  #cancelTimeLimit: (() => void) | undefined;
  /** Runs down while the job runs, where it has a lease. */
  #lease: Lease | undefined;
  #cancelLeaseRetry: (() => void) | undefined;
  readonly #output = new JobOutput(() => this.logs);
  readonly #usage = new JobUsage({
    processes: () => this.process.usage(),
    lastOutputTime: () => this.logs.lastWriteTime(),
  });
  /** What the command has left behind, once it has ended. */
  readonly #remaining = new Remaining(() => {
    this.#context.onChange(this);
    this.#context.onSettled(this);
  });
  #lastView: LastView | undefined;
  /** Whether the job's files are being deleted, or are gone. */
  #isRemoved = false;
  #readers = 0;

  private constructor(context: JobContext, record: JobRecord) {
    this.#context = context;
    const { store, log, pollIntervalMs } = context;
    const exclusively = async (write: () => Promise<void>) => {
      await this.#exclusively(write);
      this.#context.onSettled(this);
    };
    this.#record = new SavedRecord(record, { store, log, pollIntervalMs, exclusively });
    if (isTerminal(record.state)) return;
    this.#ended = new AbortController();
    // Each call that waits for the job adds a listener.
    setMaxListeners(0, this.#ended.signal);
  }

  /**
   * Runs a new job's command.
   * @throws ProcmanError; then nothing runs and no trace of the job is left
   */
  static async start(context: JobContext, spec: JobSpec, sequence: number): Promise<ManagedJob> {
    const record = pendingRecord(spec, sequence, context.defaultLogLimitBytes);
    // The disk is waited for while the command is looked for.
    const draft = context.store.draft(record);
    let job: ManagedJob | undefined;
    try {
      const command = await context.engine.prepare(spec);
      await draft.written;
      const published = draft.publish();
      // Awaited below. Until then a rejection must not count as unhandled.
      published.catch(() => {});
      crashPoint("start:created");
      job = new ManagedJob(context, record);
      job.#retainLogs();
      await job.#run(command);
      await Promise.all([published, context.store.keepStart(job.record)]);
      job.#supervise(0);
      job.logs.recordGrowth(record.createdTime, job.ended);
      return job;
    } catch (error) {
      await draft.discard();
      if (job) await job.#discard();
      throw error;
    }
  }

  /**
   * Takes a job over from its record after a restart.
   * @returns undefined where the command was never run, so its Start was never
   * acknowledged: the job is removed then
   */
  static async adopt(context: JobContext, record: JobRecord): Promise<ManagedJob | undefined> {
    const job = new ManagedJob(context, record);
    job.#retainLogs();
    const { stop } = record;
    if (isTerminal(record.state)) {
      await job.#followRemainingAgain();
      job.#followOnEnd();
      // The command has ended, but processes that it left behind may still run.
      if (stop && job.process.hasUnfinishedStop()) job.#resumeStop(stop);
      return job;
    }
    let ageMs = 0;
    try {
      if (record.state.status === "pending" && (await job.process.abandon())) {
        context.log.warn({ jobId: job.id }, "removed a job that was never started");
        await job.#removeFiles();
        return undefined;
      }
      const seen = await job.process.inspect();
      if (seen.kind === "alive") ageMs = seen.ageMs;
      await job.#refresh();
    } catch (error) {
      // Every poll inspects it again.
      context.log.error({ jobId: job.id, err: error }, "inspecting a job failed");
    }
    const hasEnded = job.ended.aborted;
    if (!hasEnded) {
      job.#supervise(ageMs);
      job.logs.recordGrowth(undefined, job.ended);
    }
    if (stop && (!hasEnded || job.process.hasUnfinishedStop())) job.#resumeStop(stop);
    return job;
  }

  /**
   * Opens a job again that has ended, and of which nothing is under way.
   * @throws ProcmanError JOB_NOT_FOUND, RECORD_UNREADABLE, or why it cannot be read now
   */
  static reopen(context: JobContext, { id, seenEndMs }: EndedJob): ManagedJob {
    const job = new ManagedJob(context, context.store.read(id));
    job.#seenEndMs = seenEndMs;
    job.#remaining.follow(undefined);
    return job;
  }

  get id(): string {
    return this.record.spec.id;
  }

  get sequence(): number {
    return this.record.sequence;
  }

  get record(): JobRecord {
    return this.#record.value;
  }

  get status(): Status {
    return this.record.state.status;
  }

  get name(): string | undefined {
    return this.record.spec.name;
  }

  get labels(): JobSpec["labels"] {
    return this.record.spec.labels;
  }

  /** Aborted once the job has ended. */
  get ended(): AbortSignal {
    return this.#ended?.signal ?? HAS_ENDED;
  }

  /** Aborted once the job has ended and its command has left nothing behind, or nothing is left. */
  get noneRemain(): AbortSignal {
    return this.#remaining.none;
  }

  /** What is kept of the job once it has ended; undefined before. */
  get endedJob(): EndedJob | undefined {
    return this.ended.aborted ? endedJob(this.record, this.#seenEndMs) : undefined;
  }

  /**
   * Whether the job has ended, its record is on disk, and nothing of it is under way:
   * then this object need not be kept.
   */
  get isSettled(): boolean {
    if (!this.ended.aborted || !this.noneRemain.aborted || !this.#record.isSaved) return false;
    if (awaitsOnEnd(this.record)) return false;
    if (isSettled(this.record)) return true;
    if (this.record.restart || logLimitOf(this.record) !== undefined) return false;
    return !this.process.isStopping && !this.process.hasUnfinishedStop();
  }

  /** Whether somebody reads the output now. */
  get isRead(): boolean {
    return this.#readers > 0;
  }

  /** Counts a reader of the output. @returns what to call once, when it is done */
  beginReading(): () => void {
    this.#readers += 1;
    return () => {
      this.#readers -= 1;
    };
  }

  /** Resolves when no stop that was begun is under way. */
  async stopsIdle(): Promise<void> {
    await this.#stops;
  }

  get process(): JobProcess {
    this.#process ??= this.#context.engine.open(this.#context.store.dirOf(this.id));
    return this.#process;
  }

  get logs(): JobLogs {
    this.#logs ??= this.#context.logs.open(this.#context.store.dirOf(this.id));
    return this.#logs;
  }

  /**
   * Returns the job as clients see it: the state of that record, and the output up to
   * now. Long fields are cut.
   */
  async view(options: ViewOptions = {}): Promise<Job> {
    return listedJob(await this.wholeView(options));
  }

  /**
   * Returns the same with all fields whole. It is the very same object as long as nothing
   * has changed.
   */
  async wholeView({ record = this.record, includeUsage = false }: ViewOptions = {}): Promise<Job> {
    const isMeasured = includeUsage && !isTerminal(record.state);
    const usage = isMeasured ? await this.#usage.read() : record.usage;
    const output = await this.#output.read();
    const expires = this.ended.aborted ? undefined : this.#lease?.expireTime;
    const last = this.#lastView;
    const remaining = isTerminal(record.state) ? this.#remaining.count() : 0;
    const isSame =
      last?.record === record &&
      last.output === output &&
      last.usage === usage &&
      last.expires === expires;
    if (isSame && (last.job.remainingProcesses ?? 0) === remaining) return last.job;
    const found = {
      usage,
      remainingProcesses: remaining || undefined,
      leaseExpireTime: expires,
    };
    const job = this.#viewOf(record, output, found);
    this.#lastView = { record, output, usage, expires, job };
    return job;
  }

  #viewOf(
    record: JobRecord,
    { sizes, progress }: WrittenOutput,
    found: {
      usage: Usage | undefined;
      remainingProcesses: number | undefined;
      leaseExpireTime: Date | undefined;
    },
  ): Job {
    const { spec, createdTime, state } = record;
    const { lastSignal, onEndResult } = record;
    const rest = defined({
      ...found,
      progress,
      lastSignal,
      logLimitBytes: logLimitOf(record),
      leaseMs: leaseOf(record),
      onEndResult,
    });
    const env = withoutValues(spec.env);
    // No spread: to replace a field of a spread object takes V8 ten times as long.
    return Object.assign({}, spec, state, sizes, rest, { env, createdTime });
  }

  /** Whether it runs and may have written something, as far as can be known for nothing. */
  mayHaveGrown(): boolean {
    return !this.ended.aborted && this.#output.mayHaveGrown();
  }

  /** Whether it runs and has written something since the last call. Ended by `forgetGrowth`. */
  async hasGrown(): Promise<boolean> {
    return (await this.#output.hasGrown()) && !this.ended.aborted;
  }

  /** Until the next `hasGrown`, nobody wants to know. */
  forgetGrowth(): void {
    this.#output.stopWatching();
  }

  /** Brings the record up to date with the job's files and processes. */
  refresh(): Promise<void> {
    return this.#exclusively(() => this.#refresh());
  }

  /**
   * Ends the job with all its processes; resolves when it has ended.
   * @param restart recorded with the stop; the caller clears it with `endRestart`
   * @throws ProcmanError JOB_NOT_RUNNING
   */
  async stop(kind: StopCause, gracePeriodMs: number, restart?: RestartIntent): Promise<void> {
    await this.#exclusively(() => this.#recordStop(kind, gracePeriodMs, restart));
    crashPoint("stop:recorded");
    await this.#endProcesses(gracePeriodMs);
  }

  /**
   * Ends the job as `stop` does or, where it has ended, what its command has left behind.
   * @throws ProcmanError JOB_NOT_RUNNING where that is nothing
   */
  async stopWithRemaining(kind: StopKind, gracePeriodMs: number): Promise<void> {
    try {
      await this.stop(kind, gracePeriodMs);
    } catch (error) {
      if (!isNotRunning(error)) throw error;
      await this.endRemaining(gracePeriodMs);
    }
  }

  /**
   * Ends what the command of an ended job has left behind.
   * @throws ProcmanError JOB_NOT_RUNNING where that is nothing
   */
  async endRemaining(gracePeriodMs: number): Promise<void> {
    const processes = await this.#exclusively(async () => {
      const { processes } = this.#remaining;
      if (!processes || processes.count() === 0) throw jobNotRunning(this.id);
      await this.#recordRemainingStop(processes, gracePeriodMs);
      return processes;
    });
    await this.#endRemaining(processes, gracePeriodMs);
  }

  /** Records the id of another job to be started. @throws ProcmanError */
  async replanRestart(restart: RestartIntent): Promise<void> {
    await this.#exclusively(() => this.#record.write({ ...this.record, restart }));
  }

  /**
   * Records that nothing is to be started in this job's place any more. It is for whoever
   * has begun a restart, for which the manager's close waits.
   */
  async endRestart(): Promise<void> {
    await this.#operations.run(async () => {
      const { restart, ...record } = this.record;
      if (restart) await this.#record.replace(record);
    });
    this.#context.onSettled(this);
  }

  /**
   * @param options.includeRemaining sends it to what the command of an ended job has left behind
   * @throws ProcmanError JOB_NOT_RUNNING, INVALID_ARGUMENT
   */
  signal(signal: string, { includeRemaining = false } = {}): Promise<void> {
    return this.#exclusively(async () => {
      const isSent =
        (!this.ended.aborted && (await this.process.signal(signal))) ||
        (await this.#signalRemaining(signal, includeRemaining));
      if (!isSent) throw endedAlready(this.id, this.#remaining.count());
      const lastSignal = { name: signalName(signal) ?? signal, sentTime: new Date() };
      await this.#record.replace({ ...this.record, lastSignal });
      this.#context.onChange(this);
    });
  }

  async #signalRemaining(signal: string, isAsked: boolean): Promise<boolean> {
    const name = signalName(signal);
    if (!name) throw invalidArgument("signal", `unknown signal ${JSON.stringify(signal)}`);
    await this.#refresh();
    return isAsked && this.#remaining.processes?.signal(name) === true;
  }

  /**
   * Begins the job's lease anew.
   * @param leaseMs how long it is from now on; undefined: as before
   * @throws ProcmanError JOB_NOT_RUNNING, NO_LEASE
   */
  async renewLease(leaseMs: number | undefined): Promise<void> {
    if (leaseOf(this.record) === undefined) {
      const message = `job ${this.id} has no lease: it was started without one`;
      throw new ProcmanError("NO_LEASE", message, { jobId: this.id });
    }
    this.#renewLease();
    if (leaseMs === undefined || leaseMs === leaseOf(this.record)) return;
    await this.#exclusively(async () => {
      if (this.ended.aborted) throw jobNotRunning(this.id);
      // Before it is answered: the next server must not take it for a shorter one.
      await this.#record.write({ ...this.record, renewedLeaseMs: leaseMs });
    });
    this.#renewLease();
    this.#context.onChange(this);
  }

  /** @throws ProcmanError JOB_NOT_RUNNING */
  #renewLease(): void {
    const { stop } = this.record;
    const lease = this.#lease;
    if (this.ended.aborted || stop || !lease || lease.hasExpired) throw jobNotRunning(this.id);
    lease.renew(leaseOf(this.record) ?? 0);
  }

  /** @throws ProcmanError as the contract lists for `sendInput`; the signal's reason */
  async sendInput(options: SendInputOptions, signal: AbortSignal): Promise<InputPosition> {
    const piece = validInputPiece(options);
    if (!this.record.spec.stdin) {
      const message = `job ${this.id} takes no input: it was started without stdin`;
      throw new ProcmanError("INPUT_NOT_OPEN", message, { jobId: this.id });
    }
    try {
      return { nextOffset: await this.process.sendInput(piece, signal) };
    } catch (error) {
      if (!(error instanceof ProcmanError) || error.reason !== "INPUT_NOT_OPEN") throw error;
      await this.refresh();
      throw this.ended.aborted ? jobNotRunning(this.id) : error;
    }
  }

  /** @throws ProcmanError JOB_NOT_RUNNING, NO_TERMINAL, INVALID_ARGUMENT */
  async resize(size: WindowSize): Promise<void> {
    validWindowSize(size);
    if (this.ended.aborted) throw jobNotRunning(this.id);
    if (await this.process.resize(size)) return;
    await this.refresh();
    if (this.ended.aborted) throw jobNotRunning(this.id);
    throw new ProcmanError("NO_TERMINAL", `job ${this.id} has no terminal`, { jobId: this.id });
  }

  /** Resolves at once, or a moment later where what its command has left is about to end. */
  async remainingGoneSoon(): Promise<void> {
    if (!this.ended.aborted || this.noneRemain.aborted) return;
    const { closing } = this.#context;
    await abortableSleep(REMAINING_END_MS, this.noneRemain, closing);
  }

  /**
   * Deletes the files of the job, which must have ended.
   * @throws ProcmanError JOB_RUNNING, JOB_HAS_PROCESSES
   */
  remove(): Promise<void> {
    return this.#exclusively(async () => {
      // Another call has removed it while this one was queued.
      if (this.#isRemoved) throw jobNotFound(this.id);
      await this.#refresh();
      if (!this.ended.aborted) throw stillRunning(this.id, `is ${this.status}`);
      if (this.record.restart) throw stillRunning(this.id, "is being restarted");
      if (this.#process?.isStopping) {
        throw stillRunning(this.id, "has processes that are being ended");
      }
      if (this.#remaining.count() > 0) throw hasProcesses(this.id, this.#remaining.count());
      if (awaitsOnEnd(this.record) && !(await this.#recordOnEnd())) throw hasOnEnd(this.id);
      await this.#output.freeze();
      this.#isRemoved = true;
      try {
        this.process.release();
        await this.#removeFiles();
      } catch (error) {
        this.#isRemoved = false;
        this.#output.thaw();
        throw error;
      }
    });
  }

  /** Releases the job, which goes on. Once it resolves, nothing here changes its files. */
  async close(): Promise<void> {
    await this.#operations.idle();
    await this.stopsIdle();
    this.dispose();
    await this.#process?.close();
  }

  /** Stops all timers and watches, and trimming the logs. */
  dispose(): void {
    this.#stopSupervising();
    this.#output.stopWatching();
    this.#remaining.dispose();
    this.#record.dispose();
    this.#logs?.dispose();
  }

  /** Queues an operation that changes the job. None begins after the manager's close. */
  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    return this.#operations.run(() => {
      // From then on another server may own the job's files.
      this.#context.closing.throwIfAborted();
      return operation();
    });
  }

  async #run(command: PreparedCommand): Promise<void> {
    const { process, started: start } = await command.start(this.#context.store.dirOf(this.id));
    this.#process = process;
    crashPoint("start:process-recorded");
    // What the engine has recorded tells as much: a job that ends soon needs no record of this.
    this.#record.replaceSoon(started(this.record, start));
  }

  /** Starts watching for the job's end and its time limit. */
  #supervise(ageMs: number): void {
    let isQueued = false;
    const refresh = () => {
      // The kernel tells of an end several times.
      if (isQueued) return;
      isQueued = true;
      const refreshing = this.#exclusively(() => {
        isQueued = false;
        return this.#refresh();
      });
      this.#inBackground(refreshing, "inspecting a job failed");
    };
    this.#stopWatching = this.process.onEnd(refresh);
    const { timeoutMs } = this.record.spec;
    if (timeoutMs !== undefined) this.#startTimeLimit(timeoutMs - ageMs);
    const leaseMs = leaseOf(this.record);
    // Whole, also after a restart: while no server ran, nobody could renew it.
    if (leaseMs !== undefined) this.#lease = new Lease(leaseMs, () => this.#expireLease());
  }

  #expireLease(): void {
    crashPoint("lease:expired");
    // What is being ended already has the time that it was given.
    if (this.record.stop || this.ended.aborted) return;
    const { log, closing, pollIntervalMs } = this.#context;
    log.info({ jobId: this.id, leaseMs: leaseOf(this.record) }, "a job's lease has run out");
    this.stop("lease", DEFAULT_GRACE_PERIOD_MS).catch((error: unknown) => {
      if (closing.aborted || this.ended.aborted) return;
      log.error({ jobId: this.id, err: error }, "ending a job whose lease has run out failed");
      this.#cancelLeaseRetry = startTimer(pollIntervalMs, () => this.#expireLease());
    });
  }

  #startTimeLimit(leftMs: number): void {
    this.#cancelTimeLimit = startTimer(leftMs, () => this.#timeOut());
  }

  #timeOut(): void {
    const { log, closing, pollIntervalMs } = this.#context;
    this.stop("timeout", DEFAULT_GRACE_PERIOD_MS).catch((error: unknown) => {
      if (closing.aborted || this.ended.aborted) return;
      log.error({ jobId: this.id, err: error }, "ending a job at its time limit failed");
      this.#startTimeLimit(pollIntervalMs);
    });
  }

  #resumeStop({ gracePeriodMs }: StopIntent): void {
    this.#inBackground(this.#endProcesses(gracePeriodMs), "resuming a job's stop failed");
  }

  /** Follows what an earlier process has recorded of it, and goes on with its end. */
  async #followRemainingAgain(): Promise<void> {
    const { remaining } = this.record;
    if (!remaining) return this.#remaining.follow(undefined);
    const processes = await this.#lookForRemaining(remaining.mark);
    this.#remaining.follow(processes);
    if (!processes) this.process.release();
    const { stop } = remaining;
    if (!stop || !(processes ?? this.process.hasUnfinishedStop())) return;
    // Also where nothing is left: then it only has to be over.
    const ending = this.#endRemaining(processes ?? this.process, stop.gracePeriodMs);
    this.#inBackground(ending, "resuming the end of a job's remaining processes failed");
  }

  /** Waits, in background, until `onEnd` is over, and records what became of it. */
  #followOnEnd(): void {
    if (!awaitsOnEnd(this.record)) return;
    this.#inBackground(this.#awaitOnEnd(), "learning what became of a job's on_end failed");
  }

  async #awaitOnEnd(): Promise<void> {
    const { closing } = this.#context;
    for (
      let delayMs = ENDING_POLL_INTERVAL_MS;
      ;
      delayMs = Math.min(delayMs * 1.5, MAX_ON_END_POLL_MS)
    ) {
      const isOver = await this.#exclusively(() => this.#recordOnEnd());
      if (isOver) return this.#context.onSettled(this);
      await sleep(delayMs, undefined, { signal: closing, ref: false });
    }
  }

  /** @returns whether it is over */
  async #recordOnEnd(): Promise<boolean> {
    if (this.#isRemoved) return true;
    const onEndResult = this.process.onEndResult();
    if (!onEndResult) return false;
    await this.#record.replace({ ...this.record, onEndResult });
    this.#context.onChange(this);
    return true;
  }

  /** Ends what is run at the job's end, if it runs. */
  async endOnEnd(): Promise<void> {
    while (this.ended.aborted && awaitsOnEnd(this.record)) {
      this.process.endOnEnd();
      await this.#exclusively(() => this.#recordOnEnd());
      await sleep(ENDING_POLL_INTERVAL_MS, undefined, { signal: this.#context.closing });
    }
  }

  async #lookForRemaining(mark?: string): Promise<RemainingProcesses | undefined> {
    try {
      return await this.process.remaining(mark);
    } catch (error) {
      // That the job has ended is to be known all the same.
      const message = "looking for a job's remaining processes failed";
      this.#context.log.error({ jobId: this.id, err: error }, message);
      return undefined;
    }
  }

  async #recordRemainingStop(processes: RemainingProcesses, gracePeriodMs: number): Promise<void> {
    const { remaining } = this.record;
    if (remaining?.stop) return;
    const stop = { requestedTime: new Date(), gracePeriodMs };
    const next = { ...this.record, remaining: { ...markOf(processes), stop } };
    await this.#record.write(next, { mayUseReserve: true });
    crashPoint("remaining:recorded");
  }

  #endRemaining(processes: Pick<JobProcess, "stop">, gracePeriodMs: number): Promise<void> {
    const { closing } = this.#context;
    const stop = processes.stop(gracePeriodMs, closing).then(() => this.#remaining.look());
    const ended = stop.finally(() => this.#context.onSettled(this));
    this.#stops = Promise.allSettled([this.#stops, ended]);
    return ended;
  }

  #inBackground(operation: Promise<unknown>, failure: string): void {
    operation.catch((error: unknown) => {
      if (this.#context.closing.aborted) return;
      this.#context.log.error({ jobId: this.id, err: error }, failure);
    });
  }

  async #recordStop(
    cause: StopCause,
    gracePeriodMs: number,
    restart?: RestartIntent,
  ): Promise<void> {
    if (!this.record.stop) await this.#inspectPastEnding();
    await this.#refresh();
    if (this.ended.aborted) throw endedAlready(this.id, this.#remaining.count());
    const before = this.record;
    const next = restart ? { ...before, restart } : before;
    if (before.stop) {
      // The first stop that is recorded counts.
      if (restart) await this.#record.write(next);
      return;
    }
    const stop: StopIntent = {
      kind: cause === "lease" ? "cancel" : cause,
      requestedTime: new Date(),
      gracePeriodMs,
      ...defined({ expiredLeaseMs: cause === "lease" ? leaseOf(before) : undefined }),
    };
    // Where the new job has no room, the old one is not ended for it.
    await this.#record.write({ ...next, stop }, { mayUseReserve: restart === undefined });
    // The command ended by itself where its exit record is there before any signal.
    const seen = await this.#inspectPastEnding();
    if (seen.kind !== "exited") {
      if (!before.spec.onEnd || this.process.claimStop(stop.kind)) return;
      // Its runner was first: the exit record is on its way.
      return this.#awaitOwnEnd();
    }
    await this.#replace(advanceRecord(before, seen, new Date()));
    throw endedAlready(this.id, this.#remaining.count());
  }

  /** @throws ProcmanError JOB_NOT_RUNNING, once the end of the command by itself is recorded */
  async #awaitOwnEnd(): Promise<never> {
    for (;;) {
      await this.#refresh();
      if (this.ended.aborted) throw endedAlready(this.id, this.#remaining.count());
      await sleep(ENDING_POLL_INTERVAL_MS, undefined, { signal: this.#context.closing });
    }
  }

  /**
   * Inspects the job, but waits while its command has ended and the last output is still
   * on its way. A command that has ended by itself is not recorded as cancelled.
   */
  async #inspectPastEnding(): Promise<Observation> {
    for (;;) {
      const seen = await this.#inspect();
      if (seen.kind !== "alive" || !seen.isEnding) return seen;
      await sleep(ENDING_POLL_INTERVAL_MS, undefined, { signal: this.#context.closing });
    }
  }

  #endProcesses(gracePeriodMs: number): Promise<void> {
    const stop = this.#endProcessesNow(gracePeriodMs).finally(() => this.#context.onSettled(this));
    this.#stops = Promise.allSettled([this.#stops, stop]);
    return stop;
  }

  async #endProcessesNow(gracePeriodMs: number): Promise<void> {
    const { closing } = this.#context;
    const { spec, stop } = this.record;
    // An earlier process may have died before it did this.
    if (spec.onEnd && stop) this.process.claimStop(stop.kind);
    await this.process.stop(gracePeriodMs, closing);
    // The runner still has to record the exit, which takes a moment.
    let backoffMs = INITIAL_EXIT_BACKOFF_MS;
    for (;;) {
      await this.refresh();
      if (this.ended.aborted) {
        this.process.release();
        return this.#remaining.look();
      }
      await sleep(backoffMs, undefined, { signal: closing });
      backoffMs = Math.min(backoffMs * 2, MAX_EXIT_BACKOFF_MS);
    }
  }

  async #inspect(): Promise<Observation> {
    const seen = await this.process.inspect();
    if (seen.kind === "alive" && seen.isEnding) this.process.drainOrKill();
    if (seen.kind === "exited" && seen.notExecuted !== undefined) this.logs.erase();
    return seen;
  }

  async #refresh(): Promise<void> {
    if (this.ended.aborted) return;
    const seen = await this.#inspect();
    const next = advanceRecord(this.#asToldOnEnd(seen), seen, new Date());
    if (next !== this.record) await this.#replace(next);
  }

  /** Returns the record without a stop that came after `onEnd` was told of the command's own end. */
  #asToldOnEnd({ kind }: Observation): JobRecord {
    const { stop, ...rest } = this.record;
    const isLate = stop && rest.spec.onEnd && kind === "exited" && this.process.hasEndedByItself();
    return isLate ? rest : this.record;
  }

  async #replace(next: JobRecord): Promise<void> {
    if (isTerminal(next.state)) return this.#replaceAtEnd(next);
    await this.#record.replace(next);
    this.#context.onChange(this);
    this.#context.onSettled(this);
  }

  /** Adds to the record of a job that has ended what it has used. */
  #withUsage(record: JobRecord): JobRecord {
    const { state } = record;
    if (!isTerminal(state)) return record;
    try {
      const times = defined({ cpuTimeMs: "cpuTimeMs" in state ? state.cpuTimeMs : undefined });
      const processes = { ...times, ...this.process.usageAtEnd() };
      return { ...record, usage: usageOf(processes, this.logs.lastWriteTime()) };
    } catch {
      // That it has ended is told all the same.
      return record;
    }
  }

  async #replaceAtEnd(ended: JobRecord): Promise<void> {
    const record = this.#withUsage(ended);
    const processes = await this.#lookForRemaining();
    const endGraceMs = ended.spec.endRemaining ? DEFAULT_GRACE_PERIOD_MS : undefined;
    const remaining = processes && remainingAtEnd(processes, endGraceMs);
    await this.#record.replace(remaining ? { ...record, remaining } : record);
    this.#output.forget();
    this.#output.stopWatching();
    this.#seenEndMs = performance.now();
    this.#stopSupervising();
    this.#remaining.follow(processes);
    this.#ended?.abort(IS_OVER);
    this.#context.onEnd(ended);
    this.process.release();
    this.#context.onChange(this);
    this.#context.onSettled(this);
    this.#followOnEnd();
    if (!processes || endGraceMs === undefined) return;
    const ending = this.#endRemaining(processes, endGraceMs);
    this.#inBackground(ending, "ending a job's remaining processes failed");
  }

  #retainLogs(): void {
    const limitBytes = logLimitOf(this.record);
    if (limitBytes === undefined) return;
    this.logs.retain(limitBytes, this.ended, () => this.#context.onChange(this));
  }

  /** Keeps the logs readable until they are gone. */
  async #removeFiles(): Promise<void> {
    await this.#context.store.remove(this.id);
    this.dispose();
  }

  /** Removes all traces of a job that did not start. */
  async #discard(): Promise<void> {
    const { store, log } = this.#context;
    this.dispose();
    // Also where the manager is closing: nothing of a Start that failed may run.
    await this.#process?.discard().catch(() => {});
    this.#process?.release();
    await store.remove(this.id).catch((error: unknown) => {
      log.error({ jobId: this.id, err: error }, "removing a job that did not start failed");
    });
  }

  #stopSupervising(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#cancelTimeLimit?.();
    this.#cancelTimeLimit = undefined;
    this.#lease?.dispose();
    this.#cancelLeaseRetry?.();
  }
}

function withoutValues(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, ""]));
}

function stillRunning(id: string, why: string): ProcmanError {
  return new ProcmanError("JOB_RUNNING", `job ${id} ${why}`, { jobId: id });
}
