import { setTimeout as sleep } from "node:timers/promises";
import { advanceRecord, pendingRecord, started } from "./transitions.js";
import { crashPoint } from "../platform/crash-point.js";
import { jobNotFound, jobNotRunning, ProcmanError } from "../contract/errors.js";
import { type Job, isTerminal, type JobSpec } from "../contract/job.js";
import { JobEntry } from "./job-entry.js";
import type { Log } from "../contract/log.js";
import { logLimitOf } from "./log-limit.js";
import type {
  Engine,
  JobRecord,
  JobStore,
  Observation,
  OutputReader,
  StopIntent,
} from "./ports.js";
import type { StopKind } from "./status.js";
import { startTimer } from "../platform/timers.js";

/** Between SIGTERM and SIGKILL where nobody says otherwise. */
export const DEFAULT_GRACE_PERIOD_MS = 5000;

/** Between looks at a job that is about to end. */
const ENDING_PAUSE_MS = 20;

export interface SupervisorOptions {
  readonly engine: Engine;
  readonly store: JobStore;
  readonly output: Pick<OutputReader, "limit" | "forget">;
  readonly log: Log;
  readonly pollIntervalMs: number;
  /** For jobs that ask for none; undefined: no limit. */
  readonly defaultLogLimitBytes: number | undefined;
  /** Called after a job's state has changed, or where an ended job's logs begin. */
  readonly onChange: (entry: JobEntry) => void;
  /** Aborted when this process lets go of its jobs. */
  readonly closing: AbortSignal;
}

/**
 * Leads jobs through their lives: starts them, sees how they end, ends them.
 * It holds no truth of its own: what it knows it can learn again from a job's
 * files and processes, and does after every crash.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  /** Jobs whose state is newer than their record on disk. */
  readonly #unsaved = new Set<JobEntry>();
  #saveTimer: NodeJS.Timeout | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /**
   * Runs a new job's command.
   * @throws ProcmanError; then nothing runs and no trace is left.
   */
  async start(spec: JobSpec, sequence: number): Promise<JobEntry> {
    const { engine, store, defaultLogLimitBytes } = this.#options;
    const command = await engine.prepare(spec);
    const record = pendingRecord(spec, sequence, defaultLogLimitBytes);
    await store.create(record);
    crashPoint("start:created");
    const entry = new JobEntry(record);
    this.#limitLogs(entry);
    try {
      const process = await engine.start(store.dirOf(spec.id), command);
      crashPoint("start:process-recorded");
      await this.#replace(entry, started(record, process));
    } catch (error) {
      await this.#discard(entry);
      throw error;
    }
    this.#supervise(entry, 0);
    return entry;
  }

  /**
   * Takes a job over from its record after a restart.
   * @returns undefined for a job whose Start was never acknowledged nor its
   * command run: it is gone.
   */
  async adopt(record: JobRecord): Promise<JobEntry | undefined> {
    const entry = new JobEntry(record);
    this.#limitLogs(entry);
    const { engine, store, log } = this.#options;
    const dir = store.dirOf(entry.id);
    if (isTerminal(record.state)) {
      // Its command has ended; what that has left behind has perhaps not.
      if (record.stop && engine.hasUnfinishedStop(dir)) this.#carryOnStop(entry, record.stop);
      return entry;
    }
    let ageMs = 0;
    try {
      if (record.state.status === "pending" && (await engine.abandon(dir))) {
        log.warn({ jobId: entry.id }, "removed a job that was never started");
        await this.#removeFiles(entry);
        return undefined;
      }
      const seen = await engine.inspect(dir);
      if (seen.kind === "alive") ageMs = seen.ageMs;
      await this.#inspect(entry);
    } catch (error) {
      // It is looked at again at every poll.
      log.error({ jobId: entry.id, err: error }, "a job cannot be looked at now");
    }
    const { stop } = record;
    const hasEnded = isTerminal(entry.record.state);
    if (!hasEnded) this.#supervise(entry, ageMs);
    if (stop && (!hasEnded || engine.hasUnfinishedStop(dir))) this.#carryOnStop(entry, stop);
    return entry;
  }

  /**
   * Holds a job against its files and processes.
   * @returns whether its status changed.
   */
  reconcile(entry: JobEntry): Promise<boolean> {
    return entry.exclusively(() => this.#inspect(entry));
  }

  /**
   * Ends a job, whatever becomes of the caller; resolves when it has ended.
   * @throws ProcmanError JOB_NOT_RUNNING
   */
  async stop(entry: JobEntry, kind: StopKind, gracePeriodMs: number): Promise<void> {
    await entry.exclusively(() => this.#recordStop(entry, kind, gracePeriodMs));
    crashPoint("stop:recorded");
    await this.#endProcesses(entry, gracePeriodMs);
  }

  /**
   * Sends a signal.
   * @throws ProcmanError JOB_NOT_RUNNING, INVALID_ARGUMENT
   */
  signal(entry: JobEntry, signal: string): Promise<void> {
    return entry.exclusively(async () => {
      const { engine, store } = this.#options;
      if (isTerminal(entry.record.state)) throw jobNotRunning(entry.id);
      if (await engine.signal(store.dirOf(entry.id), signal)) return;
      await this.#inspect(entry);
      throw jobNotRunning(entry.id);
    });
  }

  /**
   * Deletes an ended job.
   * @throws ProcmanError JOB_RUNNING
   */
  remove(entry: JobEntry): Promise<void> {
    return entry.exclusively(async () => {
      // By another call that was waiting its turn as well.
      if (entry.removed) throw jobNotFound(entry.id);
      await this.#inspect(entry);
      const { engine, store } = this.#options;
      const dir = store.dirOf(entry.id);
      const { status } = entry.record.state;
      if (!isTerminal(entry.record.state)) throw stillRunning(entry.id, `is ${status}`);
      if (engine.isStopping(dir))
        throw stillRunning(entry.id, "has processes that are being ended");
      engine.release(dir);
      await this.#removeFiles(entry);
      entry.removed = true;
      this.#unsaved.delete(entry);
    });
  }

  close(): void {
    clearInterval(this.#saveTimer);
  }

  /** Sees to it that the job's end, and its time limit, are noticed. */
  #supervise(entry: JobEntry, ageMs: number): void {
    const { engine, store, log } = this.#options;
    const look = () => {
      this.reconcile(entry).catch((error: unknown) => {
        log.error({ jobId: entry.id, err: error }, "looking at a job failed");
      });
    };
    entry.unwatch = engine.watchExit(store.dirOf(entry.id), look);
    if (entry.record.spec.timeoutMs !== undefined) {
      this.#armDeadline(entry, entry.record.spec.timeoutMs - ageMs);
    }
    // It may have ended before it was watched.
    look();
  }

  #armDeadline(entry: JobEntry, leftMs: number): void {
    entry.cancelDeadline = startTimer(leftMs, () => this.#timeOut(entry));
  }

  #timeOut(entry: JobEntry): void {
    const { log, closing, pollIntervalMs } = this.#options;
    this.stop(entry, "timeout", DEFAULT_GRACE_PERIOD_MS).catch((error: unknown) => {
      if (closing.aborted || entry.ended.aborted) return;
      log.error({ jobId: entry.id, err: error }, "ending a job at its time limit failed");
      this.#armDeadline(entry, pollIntervalMs);
    });
  }

  #carryOnStop(entry: JobEntry, stop: StopIntent): void {
    const { log, closing } = this.#options;
    this.#endProcesses(entry, stop.gracePeriodMs).catch((error: unknown) => {
      if (closing.aborted) return;
      log.error({ jobId: entry.id, err: error }, "carrying on with ending a job failed");
    });
  }

  async #recordStop(entry: JobEntry, kind: StopKind, gracePeriodMs: number): Promise<void> {
    const { store } = this.#options;
    if (!entry.record.stop) await this.#lookPastEnding(entry);
    await this.#inspect(entry);
    if (isTerminal(entry.record.state)) throw jobNotRunning(entry.id);
    // The first to be recorded counts.
    if (entry.record.stop) return;
    const before = entry.record;
    const stop: StopIntent = { kind, requestedTime: new Date(), gracePeriodMs };
    await store.write({ ...before, stop }).catch((error: unknown) => {
      // A job that has deleted its files is ended all the same.
      if (!isGone(error)) throw error;
    });
    entry.record = { ...before, stop };
    // An exit record that was there before any signal is the command's own end.
    const seen = await this.#lookPastEnding(entry);
    if (seen.kind !== "exited") return;
    await this.#replace(entry, advanceRecord(before, seen, new Date()));
    throw jobNotRunning(entry.id);
  }

  /** A command that has ended by itself is not made a cancelled one in its job's last moments. */
  async #lookPastEnding(entry: JobEntry): Promise<Observation> {
    const { engine, store, closing } = this.#options;
    for (;;) {
      const seen = await engine.inspect(store.dirOf(entry.id));
      if (seen.kind !== "alive" || !seen.isEnding) return seen;
      await sleep(ENDING_PAUSE_MS, undefined, { signal: closing });
    }
  }

  async #endProcesses(entry: JobEntry, gracePeriodMs: number): Promise<void> {
    const { engine, store, closing } = this.#options;
    await engine.stop(store.dirOf(entry.id), gracePeriodMs, closing);
    // What is left is for the runner to record the exit, which takes a moment.
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 200)) {
      await this.reconcile(entry);
      if (entry.ended.aborted) return engine.release(store.dirOf(entry.id));
      await sleep(pauseMs, undefined, { signal: closing });
    }
  }

  async #inspect(entry: JobEntry): Promise<boolean> {
    if (isTerminal(entry.record.state)) return false;
    const { engine, store } = this.#options;
    const seen = await engine.inspect(store.dirOf(entry.id));
    const next = advanceRecord(entry.record, seen, new Date());
    if (next === entry.record) return false;
    await this.#replace(entry, next);
    return true;
  }

  /**
   * Takes on a state that was derived from the job's files, so that it is true
   * whether or not it can be written down now.
   */
  async #replace(entry: JobEntry, next: JobRecord): Promise<void> {
    const { engine, store, log, onChange } = this.#options;
    try {
      await store.write(next);
    } catch (error) {
      log.error({ jobId: entry.id, err: error }, "a job's new state could not be saved");
      if (!isGone(error)) this.#saveLater(entry);
    }
    entry.record = next;
    if (isTerminal(next.state)) {
      entry.endedAtMs = performance.now();
      engine.release(store.dirOf(entry.id));
    }
    entry.settleIfEnded();
    onChange(entry);
  }

  #saveLater(entry: JobEntry): void {
    this.#unsaved.add(entry);
    this.#saveTimer ??= setInterval(() => void this.#saveUnsaved(), this.#options.pollIntervalMs);
  }

  async #saveUnsaved(): Promise<void> {
    const { store, log } = this.#options;
    for (const entry of this.#unsaved) {
      await entry
        .exclusively(async () => {
          if (!this.#unsaved.has(entry)) return;
          await store.write(entry.record);
          this.#unsaved.delete(entry);
          log.info({ jobId: entry.id }, "a job's state could be saved again");
        })
        .catch(() => {});
    }
    if (this.#unsaved.size > 0) return;
    clearInterval(this.#saveTimer);
    this.#saveTimer = undefined;
  }

  #limitLogs(entry: JobEntry): void {
    const { store, output, onChange } = this.#options;
    const limitBytes = logLimitOf(entry.record);
    if (limitBytes === undefined) return;
    output.limit(store.dirOf(entry.id), limitBytes, entry.ended, () => onChange(entry));
  }

  /** Its logs may still be read until they are gone. */
  async #removeFiles(entry: JobEntry): Promise<void> {
    const { store, output } = this.#options;
    await store.remove(entry.id);
    output.forget(store.dirOf(entry.id));
  }

  async #discard(entry: JobEntry): Promise<void> {
    const { log } = this.#options;
    entry.release();
    await this.#removeFiles(entry).catch((error: unknown) => {
      log.error({ jobId: entry.id, err: error }, "removing a job that did not start failed");
    });
  }
}

/** There is no directory any more to write the record in. */
function isGone(error: unknown): boolean {
  return error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND";
}

function stillRunning(id: Job["id"], why: string): ProcmanError {
  return new ProcmanError("JOB_RUNNING", `job ${id} ${why}`, { jobId: id });
}
