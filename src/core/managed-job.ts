import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { jobNotFound, jobNotRunning, ProcmanError } from "../contract/errors.js";
import {
  isTerminal,
  type Job,
  type JobSpec,
  type Status,
  type WindowSize,
} from "../contract/job.js";
import type { Log } from "../contract/log.js";
import type { InputPosition, SendInputOptions } from "../contract/procman.js";
import { crashPoint } from "../platform/crash-point.js";
import { defined } from "../platform/defined.js";
import { SerialQueue } from "../platform/serial-queue.js";
import { startTimer } from "../platform/timers.js";
import { JobOutput } from "./job-output.js";
import type {
  Engine,
  JobLogs,
  JobProcess,
  JobRecord,
  JobStore,
  Logs,
  Observation,
  PreparedCommand,
  StopIntent,
} from "./ports.js";
import { SavedRecord } from "./saved-record.js";
import { advanceRecord, logLimitOf, pendingRecord, started, type StopKind } from "./transitions.js";
import { validInputPiece, validWindowSize } from "./validate.js";

/** Between SIGTERM and SIGKILL where nobody says otherwise. */
export const DEFAULT_GRACE_PERIOD_MS = 5000;

/** Between looks at a job that is about to end. */
const ENDING_POLL_INTERVAL_MS = 20;

/** Between looks for the exit record of a job whose processes were ended. */
const INITIAL_EXIT_BACKOFF_MS = 2;
const MAX_EXIT_BACKOFF_MS = 200;

/** The signal of every job that had ended when it was loaded: one for all of them. */
const HAS_ENDED = AbortSignal.abort();
setMaxListeners(0, HAS_ENDED);

/** What the jobs of one manager share. */
export interface JobContext {
  readonly engine: Engine;
  readonly store: JobStore;
  readonly logs: Logs;
  readonly log: Log;
  readonly pollIntervalMs: number;
  /** For jobs that ask for none; undefined: no limit. */
  readonly defaultLogLimitBytes: number | undefined;
  /** Called after a job's state has changed, or where an ended job's logs begin. */
  readonly onChange: (job: ManagedJob) => void;
  /** Aborted when this process lets go of its jobs. */
  readonly closing: AbortSignal;
}

/**
 * One job and all that this process keeps of it: its record, its processes, its
 * logs, its timers, and the queue of what changes it. It leads the job through its
 * life: starts it, notices how it ends, ends it, removes it.
 *
 * It holds no truth of its own: what it knows it can learn again from the job's
 * files and processes, and does after every crash.
 */
export class ManagedJob {
  readonly #context: JobContext;
  readonly #record: SavedRecord;
  /** What changes the job, one operation after another. */
  readonly #operations = new SerialQueue();
  #process: JobProcess | undefined;
  #logs: JobLogs | undefined;
  /** Aborted at the job's end; absent where it had ended before. */
  readonly #ended: AbortController | undefined;
  /** When this process saw it end, by a clock that never jumps. */
  #endedAtMs: number | undefined;
  /** The endings of its processes that are under way, or were. */
  #endings: Promise<unknown> = Promise.resolve();
  #stopWatching: (() => void) | undefined;
  /** Gives up the timer of the job's time limit. */
  #clearDeadline: (() => void) | undefined;
  readonly #output = new JobOutput(() => this.logs);
  /** Its files are being deleted, or are gone. */
  #isRemoved = false;

  private constructor(context: JobContext, record: JobRecord) {
    this.#context = context;
    const { store, log, pollIntervalMs } = context;
    const exclusively = (write: () => Promise<void>) => this.#exclusively(write);
    this.#record = new SavedRecord(record, { store, log, pollIntervalMs, exclusively });
    if (isTerminal(record.state)) return;
    this.#ended = new AbortController();
    // Every call that waits for the job listens to it.
    setMaxListeners(0, this.#ended.signal);
  }

  /**
   * Runs a new job's command.
   * @throws ProcmanError; then nothing runs and no trace is left.
   */
  static async start(context: JobContext, spec: JobSpec, sequence: number): Promise<ManagedJob> {
    const command = await context.engine.prepare(spec);
    const record = pendingRecord(spec, sequence, context.defaultLogLimitBytes);
    await context.store.create(record);
    crashPoint("start:created");
    const job = new ManagedJob(context, record);
    job.#retainLogs();
    try {
      await job.#run(command);
    } catch (error) {
      await job.#discard();
      throw error;
    }
    job.#supervise(0);
    return job;
  }

  /**
   * Takes a job over from its record after a restart.
   * @returns undefined for a job whose Start was never acknowledged nor its
   * command run: it is gone.
   */
  static async adopt(context: JobContext, record: JobRecord): Promise<ManagedJob | undefined> {
    const job = new ManagedJob(context, record);
    job.#retainLogs();
    const { stop } = record;
    if (isTerminal(record.state)) {
      // Its command has ended; what that has left behind has perhaps not.
      if (stop && job.process.hasUnfinishedStop()) job.#carryOnStop(stop);
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
      // It is looked at again at every poll.
      context.log.error({ jobId: job.id, err: error }, "a job cannot be looked at now");
    }
    const hasEnded = job.ended.aborted;
    if (!hasEnded) job.#supervise(ageMs);
    if (stop && (!hasEnded || job.process.hasUnfinishedStop())) job.#carryOnStop(stop);
    return job;
  }

  get id(): string {
    return this.record.spec.id;
  }

  get record(): JobRecord {
    return this.#record.value;
  }

  get status(): Status {
    return this.record.state.status;
  }

  get labels(): JobSpec["labels"] {
    return this.record.spec.labels;
  }

  /** Aborted once the job has ended. */
  get ended(): AbortSignal {
    return this.#ended?.signal ?? HAS_ENDED;
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
   * Milliseconds since the job ended; below zero while it has not. A wall clock that
   * jumped ahead makes no job older than this process has seen it to be.
   */
  get endedAgoMs(): number {
    const { state } = this.record;
    if (!isTerminal(state)) return Number.NEGATIVE_INFINITY;
    const byWallClockMs = Math.max(0, Date.now() - state.completedTime.getTime());
    if (this.#endedAtMs === undefined) return byWallClockMs;
    return Math.min(byWallClockMs, performance.now() - this.#endedAtMs);
  }

  /** The job as clients see it, with the state of that record and the output that there is now. */
  async view(record = this.record): Promise<Job> {
    const { spec, createdTime, state } = record;
    const { sizes, progress } = await this.#output.read();
    return {
      ...spec,
      env: withoutValues(spec.env),
      ...state,
      createdTime,
      ...sizes,
      ...defined({ progress, logLimitBytes: logLimitOf(record) }),
    };
  }

  /** Whether it runs, and has written something since this was last asked. */
  async hasGrown(): Promise<boolean> {
    return (await this.#output.hasGrown()) && !this.ended.aborted;
  }

  /**
   * Compares the job with its files and processes.
   * @returns whether its status changed.
   */
  refresh(): Promise<boolean> {
    return this.#exclusively(() => this.#refresh());
  }

  /**
   * Ends the job, whatever becomes of the caller; resolves when it has ended.
   * @throws ProcmanError JOB_NOT_RUNNING
   */
  async stop(kind: StopKind, gracePeriodMs: number): Promise<void> {
    await this.#exclusively(() => this.#recordStop(kind, gracePeriodMs));
    crashPoint("stop:recorded");
    await this.#endProcesses(gracePeriodMs);
  }

  /**
   * Sends a signal.
   * @throws ProcmanError JOB_NOT_RUNNING, INVALID_ARGUMENT
   */
  signal(signal: string): Promise<void> {
    return this.#exclusively(async () => {
      if (this.ended.aborted) throw jobNotRunning(this.id);
      if (await this.process.signal(signal)) return;
      await this.#refresh();
      throw jobNotRunning(this.id);
    });
  }

  /** @throws ProcmanError as the contract says for SendInput; the signal's reason */
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

  /**
   * Deletes the job, which has to have ended.
   * @throws ProcmanError JOB_RUNNING
   */
  remove(): Promise<void> {
    return this.#exclusively(async () => {
      // By another call that was waiting its turn as well.
      if (this.#isRemoved) throw jobNotFound(this.id);
      await this.#refresh();
      if (!this.ended.aborted) throw stillRunning(this.id, `is ${this.status}`);
      if (this.#process?.isStopping) {
        throw stillRunning(this.id, "has processes that are being ended");
      }
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

  /** Lets go of the job, which goes on; resolves when nothing here changes its files any more. */
  async close(): Promise<void> {
    await this.#operations.idle();
    await this.#endings;
    this.dispose();
    await this.#process?.close();
  }

  /** Gives up all timers, watches and open files. */
  dispose(): void {
    this.#stopSupervising();
    this.#record.dispose();
    this.#logs?.dispose();
  }

  /** Runs operations that change the job one after another; none begins after the manager's close. */
  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    return this.#operations.run(() => {
      // The next server may have the job's files from then on.
      this.#context.closing.throwIfAborted();
      return operation();
    });
  }

  async #run(command: PreparedCommand): Promise<void> {
    const { process, started: start } = await command.start(this.#context.store.dirOf(this.id));
    this.#process = process;
    crashPoint("start:process-recorded");
    await this.#replace(started(this.record, start));
  }

  /** Sees to it that the job's end, and its time limit, are noticed. */
  #supervise(ageMs: number): void {
    const { log, closing } = this.#context;
    const refresh = () => {
      this.refresh().catch((error: unknown) => {
        if (closing.aborted) return;
        log.error({ jobId: this.id, err: error }, "looking at a job failed");
      });
    };
    this.#stopWatching = this.process.onEnd(refresh);
    const { timeoutMs } = this.record.spec;
    if (timeoutMs !== undefined) this.#armDeadline(timeoutMs - ageMs);
    // It may have ended before it was watched.
    refresh();
  }

  #armDeadline(leftMs: number): void {
    this.#clearDeadline = startTimer(leftMs, () => this.#timeOut());
  }

  #timeOut(): void {
    const { log, closing, pollIntervalMs } = this.#context;
    this.stop("timeout", DEFAULT_GRACE_PERIOD_MS).catch((error: unknown) => {
      if (closing.aborted || this.ended.aborted) return;
      log.error({ jobId: this.id, err: error }, "ending a job at its time limit failed");
      this.#armDeadline(pollIntervalMs);
    });
  }

  #carryOnStop({ gracePeriodMs }: StopIntent): void {
    const { log, closing } = this.#context;
    this.#endProcesses(gracePeriodMs).catch((error: unknown) => {
      if (closing.aborted) return;
      log.error({ jobId: this.id, err: error }, "carrying on with ending a job failed");
    });
  }

  async #recordStop(kind: StopKind, gracePeriodMs: number): Promise<void> {
    if (!this.record.stop) await this.#inspectPastEnding();
    await this.#refresh();
    if (this.ended.aborted) throw jobNotRunning(this.id);
    // The first to be recorded counts.
    if (this.record.stop) return;
    const before = this.record;
    const stop: StopIntent = { kind, requestedTime: new Date(), gracePeriodMs };
    await this.#record.write({ ...before, stop });
    // An exit record that was there before any signal is the command's own end.
    const seen = await this.#inspectPastEnding();
    if (seen.kind !== "exited") return;
    await this.#replace(advanceRecord(before, seen, new Date()));
    throw jobNotRunning(this.id);
  }

  /** A command that has ended by itself is not made a cancelled one in its job's last moments. */
  async #inspectPastEnding(): Promise<Observation> {
    for (;;) {
      const seen = await this.#inspect();
      if (seen.kind !== "alive" || !seen.isEnding) return seen;
      await sleep(ENDING_POLL_INTERVAL_MS, undefined, { signal: this.#context.closing });
    }
  }

  #endProcesses(gracePeriodMs: number): Promise<void> {
    const ending = this.#endProcessesNow(gracePeriodMs);
    this.#endings = Promise.allSettled([this.#endings, ending]);
    return ending;
  }

  async #endProcessesNow(gracePeriodMs: number): Promise<void> {
    const { closing } = this.#context;
    await this.process.stop(gracePeriodMs, closing);
    // What is left is for the runner to record the exit, which takes a moment.
    let backoffMs = INITIAL_EXIT_BACKOFF_MS;
    for (;;) {
      await this.refresh();
      if (this.ended.aborted) return this.process.release();
      await sleep(backoffMs, undefined, { signal: closing });
      backoffMs = Math.min(backoffMs * 2, MAX_EXIT_BACKOFF_MS);
    }
  }

  async #inspect(): Promise<Observation> {
    const seen = await this.process.inspect();
    if (seen.kind === "alive" && seen.isEnding) this.process.drainOrKill();
    return seen;
  }

  async #refresh(): Promise<boolean> {
    if (this.ended.aborted) return false;
    const next = advanceRecord(this.record, await this.#inspect(), new Date());
    if (next === this.record) return false;
    await this.#replace(next);
    return true;
  }

  async #replace(next: JobRecord): Promise<void> {
    await this.#record.replace(next);
    if (isTerminal(next.state)) {
      this.#endedAtMs = performance.now();
      this.process.release();
      this.#stopSupervising();
      this.#ended?.abort();
    }
    this.#context.onChange(this);
  }

  #retainLogs(): void {
    const limitBytes = logLimitOf(this.record);
    if (limitBytes === undefined) return;
    this.logs.retain(limitBytes, this.ended, () => this.#context.onChange(this));
  }

  /** Its logs may still be read until they are gone. */
  async #removeFiles(): Promise<void> {
    await this.#context.store.remove(this.id);
    this.dispose();
  }

  /** Leaves no trace of a job that did not start. */
  async #discard(): Promise<void> {
    const { store, log } = this.#context;
    this.dispose();
    await store.remove(this.id).catch((error: unknown) => {
      log.error({ jobId: this.id, err: error }, "removing a job that did not start failed");
    });
  }

  #stopSupervising(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#clearDeadline?.();
    this.#clearDeadline = undefined;
  }
}

function withoutValues(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, ""]));
}

function stillRunning(id: string, why: string): ProcmanError {
  return new ProcmanError("JOB_RUNNING", `job ${id} ${why}`, { jobId: id });
}
