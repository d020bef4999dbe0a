import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  argumentError,
  fromSystemError,
  invalidArgument,
  ProcmanError,
} from "../../contract/errors.js";
import {
  type Exit,
  type OnEndResult,
  type ProcessUsage,
  type Started,
  STREAMS,
  type WindowSize,
} from "../../contract/job.js";
import type { JobDir } from "../../core/job-dir.js";
import type { StopKind } from "../../core/transitions.js";
import type {
  InputPiece,
  JobProcess,
  Observation,
  RemainingProcesses,
  OutOfMemory,
  StartedProcess,
} from "../../core/ports.js";
import { defined } from "../../platform/defined.js";
import { checkRoom } from "../../platform/durable-file.js";
import { hasCode } from "../../platform/errno.js";
import type { DetachedProcess } from "../../platform/spawn-detached.js";
import type { Ticker } from "../../platform/ticker.js";
import { readBounds } from "./containment/cgroup-limits.js";
import { outOfMemory } from "./containment/cgroup-usage.js";
import { removeCgroup, removeCgroupInBackground } from "./containment/cgroup.js";
import { JobRemaining } from "./containment/remaining.js";
import { PROOF_VALIDITY_MS } from "./containment/session.js";
import { SessionStop } from "./containment/session-stop.js";
import { JobInput } from "./input/job-input.js";
import { jobUsage, usageAtEnd } from "./job-usage.js";
import { OutputCarriers } from "./output/output-carriers.js";
import { listeningPort } from "./listening-port.js";
import type { ProcessSurvey } from "./process/process-survey.js";
import { isAlive, type ProcessRef, processTable } from "./process/processes.js";
import { signalName } from "../../platform/signal-name.js";
import { sendSignal, signalGroup, signalTerminal } from "./process/signals.js";
import { mayHaveEnded, watchExit } from "./runner/exit-watch.js";
import { inheritedEnv, type LocalCommand } from "./runner/prepare-command.js";
import {
  claimProcessRecord,
  type Identity,
  isCopied,
  isInTerminal,
  type ProcessRecord,
  readExitRecord,
  readProcessRecord,
} from "./runner/runner-records.js";
import { claimStop, endOnEnd, hasEndedByItself, readOnEndResult } from "./runner/on-end.js";
import {
  awaitIdentity,
  killRunner,
  spawnRunner,
  spawnRunnerAgain,
  terminalComplaint,
} from "./runner/spawn-runner.js";
import type { StandbyRunner } from "./runner/standby-runner.js";
import type { RunnerPrograms } from "./runner/waiting-runner.js";
import { resizeTerminal } from "./terminal/terminal.js";
import { TerminalDrain } from "./terminal/terminal-drain.js";

/** How often a process record that is being written is read. */
const RECORD_POLL_INTERVAL_MS = 20;

/** A block: what the runner writes first takes one. */
const NEEDED_BYTES = 4096;

/** How long a runner that is no child of this process is given to end after its last act. */
const RUNNER_END_MS = 1000;

/** How long the program that started a command without a runner may take to record its end. */
const BARE_EXIT_TIMEOUT_MS = 3000;

/** How long the end of a runner is waited for before its session is looked through. */
const GROUP_END_MS = 30;
const GROUP_POLL_INTERVAL_MS = 2;

/** The exit codes of a shell whose command could not be executed. */
const NOT_EXECUTED_CODES: ReadonlySet<number> = new Set([126, 127]);

/** What the jobs of one engine share. */
export interface SharedEngine {
  readonly ticker: Ticker;
  readonly standby: StandbyRunner;
  readonly survey: ProcessSurvey;
  /** Returns what runs jobs. */
  readonly programs: () => RunnerPrograms;
  /** Returns how a command without a runner has ended, where its own program has recorded that. */
  readonly bareExit: (dir: JobDir) => Exit | undefined;
}

/** The processes of one job: its runner, the command, and the processes that it has started. */
export class LocalJobProcess implements JobProcess {
  readonly #dir: JobDir;
  readonly #shared: SharedEngine;
  readonly #stop: SessionStop;
  readonly #input: JobInput;
  readonly #carriers: OutputCarriers;
  /** Set while the runner is a living child of this process. */
  #runner: DetachedProcess | undefined;
  /** When that was reaped, in the time of performance.now(). */
  #runnerEndedMs = Number.NEGATIVE_INFINITY;
  /** Kept until the release, so that a job that deletes its files can still be ended. */
  #identity: Identity | undefined;
  #knownBounds: readonly string[] | undefined;
  #drain: TerminalDrain | undefined;
  /** When a command without a runner was first seen to have ended. */
  #bareEndSeenMs: number | undefined;

  constructor(dir: JobDir, shared: SharedEngine) {
    this.#dir = dir;
    this.#shared = shared;
    this.#stop = new SessionStop(dir);
    this.#input = new JobInput(dir);
    this.#carriers = new OutputCarriers(dir, () => shared.programs().scriptsDir);
  }

  /** Implements `PreparedCommand.start`. */
  static async start(
    dir: JobDir,
    command: LocalCommand,
    shared: SharedEngine,
  ): Promise<StartedProcess> {
    const process = new LocalJobProcess(dir, shared);
    const identity = await process.#spawn(command);
    return { process, started: startedAs(identity) };
  }

  async abandon(): Promise<boolean> {
    if (claimProcessRecord(this.#dir)) return true;
    // The runner has created the record, and usually writes all of it at once.
    for (;;) {
      const observation = await this.inspect();
      if (observation.kind === "not-started") return true;
      if (observation.kind !== "starting") return false;
      await sleep(RECORD_POLL_INTERVAL_MS);
    }
  }

  async ensureOver(): Promise<boolean> {
    const { kind } = await this.inspect();
    switch (kind) {
      case "alive":
      case "starting":
        return false;
      case "exited":
      case "gone":
        return true;
      case "not-started":
        // With a lost record of its processes, those that run are found by what they hold.
        return !this.#isNamedByProcess() && this.abandon();
    }
  }

  async inspect(): Promise<Observation> {
    const seen = this.#inspectNow();
    if (seen && seen.kind !== "gone") return seen;
    // Nothing that was not found counts where the directory was away meanwhile.
    const isThere = await this.#isThere();
    const again = isThere ? this.#inspectNow() : undefined;
    if (again) return again;
    const known = this.#identity;
    if (isThere && !known) return { kind: "not-started" };
    const reason = "its files were deleted";
    return { kind: "gone", reason, ...defined({ started: known && startedAs(known) }) };
  }

  onEnd(listener: () => void): () => void {
    let pid: number | undefined;
    const ended = this.#runner?.ended;
    // In a terminal it is the exit recorder that this process has started.
    const isEndTold = () =>
      this.#runner?.isToldAtOnce === true && this.#runner.pid === this.#identity?.runner.pid;
    const exit = {
      dir: this.#dir,
      runnerPid: () => (pid ??= this.#knownIdentity()?.runner.pid),
      isEndTold,
      onChange: listener,
      onFullCheck: () => this.#continueTerminal(),
    };
    const stopWatching = watchExit(exit, this.#shared.ticker);
    const stopCarrying = this.#watchCarriers();
    this.#continueTerminal();
    ended?.addEventListener("abort", listener);
    // It may have ended before the watch began. Whoever has started it is answered first.
    const mayBeOver = !ended || ended.aborted || (!isEndTold() && mayHaveEnded(this.#dir));
    const first = mayBeOver ? setImmediate(listener) : undefined;
    return () => {
      clearImmediate(first);
      stopWatching();
      stopCarrying();
      ended?.removeEventListener("abort", listener);
    };
  }

  drainOrKill(): void {
    const identity = this.#knownIdentity();
    if (identity && isInTerminal(identity)) this.#drain ??= new TerminalDrain(identity);
  }

  async signal(signal: string): Promise<boolean> {
    const name = signalName(signal);
    if (!name) throw invalidArgument("signal", `unknown signal ${JSON.stringify(signal)}`);
    const identity = this.#knownIdentity();
    return identity !== undefined && signalGroup(identity, name);
  }

  async stop(gracePeriodMs: number, signal: AbortSignal): Promise<void> {
    const identity = this.#knownIdentity();
    if (identity) await this.#stop.stop(identity, gracePeriodMs, signal);
  }

  async discard(): Promise<void> {
    if (this.#runner) await this.#endFailedStart(this.#runner);
    else await this.stop(0, new AbortController().signal);
    this.endOnEnd();
  }

  async remaining(mark?: string): Promise<RemainingProcesses | undefined> {
    const identity = this.#identity ?? this.#knownIdentity();
    if (!identity || identity.bootId !== processTable().bootId()) return undefined;
    const mayAskGroup = identity.cgroup === "" && mark === undefined && !isInTerminal(identity);
    if (mayAskGroup && (await isGroupGone(identity))) return undefined;
    const remaining = new JobRemaining({
      dir: this.#dir,
      identity,
      stop: this.#stop,
      ticker: this.#shared.ticker,
      mark: mark ?? this.#sessionMark(identity),
      onNone: () => void this.#removeCgroup(identity.cgroup),
    });
    return remaining.count() > 0 ? remaining : undefined;
  }

  claimStop(kind: StopKind): boolean {
    return claimStop(this.#dir, kind);
  }

  hasEndedByItself(): boolean {
    return hasEndedByItself(this.#dir);
  }

  onEndResult(): OnEndResult | undefined {
    const identity = this.#knownIdentity();
    const isRunnerAlive = identity !== undefined && isAlive(identity.bootId, identity.runner);
    return readOnEndResult(this.#dir, identity, isRunnerAlive);
  }

  endOnEnd(): void {
    const identity = this.#knownIdentity();
    if (identity) endOnEnd(this.#dir, identity);
  }

  get isStopping(): boolean {
    return this.#stop.isUnderWay;
  }

  hasUnfinishedStop(): boolean {
    return this.#stop.isUnfinished;
  }

  async sendInput(piece: InputPiece, signal: AbortSignal): Promise<number> {
    const identity = this.#knownIdentity();
    return this.#input.send(piece, identity !== undefined && isInTerminal(identity), signal);
  }

  async resize(size: WindowSize): Promise<boolean> {
    const identity = this.#knownIdentity();
    if (!identity || !isInTerminal(identity)) return false;
    const { bootId, runner } = identity;
    return isAlive(bootId, runner) && resizeTerminal(runner.pid, size);
  }

  async listeningPort(port: number): Promise<number | undefined> {
    const identity = this.#knownIdentity();
    return identity && listeningPort(identity, port);
  }

  async usage(): Promise<ProcessUsage> {
    const identity = this.#knownIdentity();
    return identity ? jobUsage(identity, this.#bounds(), this.#shared.survey) : {};
  }

  usageAtEnd(): ProcessUsage {
    const identity = this.#identity ?? this.#knownIdentity();
    return identity ? usageAtEnd(identity, this.#bounds()) : {};
  }

  release(): void {
    const identity = this.#identity ?? this.#knownIdentity();
    // Those of a copied directory, or of another boot, are not this job's.
    if (identity?.bootId === processTable().bootId()) {
      for (const dir of [identity.cgroup, ...this.#bounds()]) void this.#removeCgroup(dir);
    }
    this.#identity = undefined;
    this.#stopDraining();
  }

  async close(): Promise<void> {
    this.#stopDraining();
    await this.#carriers.close();
    await this.#input.close();
  }

  async #spawn(command: LocalCommand): Promise<Identity> {
    const { standby, programs } = this.#shared;
    let spawned = await spawnRunner(this.#dir, command, programs, standby);
    this.#adoptRunner(spawned.runner);
    if (!command.spec.limits) this.#knownBounds = [];
    try {
      let identity = await awaitIdentity(this.#dir, spawned);
      // While what this Start has done is synced.
      setImmediate(() => standby.prepare(inheritedEnv));
      if (!identity && spawned.isTold && this.#hasDoneNothing(spawned.runner)) {
        removeCgroup(spawned.cgroup);
        spawned = await spawnRunnerAgain(this.#dir, command, programs());
        this.#adoptRunner(spawned.runner);
        identity = await awaitIdentity(this.#dir, spawned);
      }
      identity ??= await this.#abortStart();
      this.#identity = identity;
      // The runner could not enter it.
      if (identity.cgroup === "") removeCgroup(spawned.cgroup);
      if (spawned.isCgroupNeeded && identity.cgroup === "") {
        // It does not execute its command.
        const fields = [{ field: "limits", description: "the job could not enter its cgroup" }];
        throw argumentError("LIMIT_NOT_SUPPORTED", fields, { jobId: this.#dir.jobId });
      }
      return identity;
    } catch (error) {
      await this.#endFailedStart(spawned.runner);
      for (const dir of [spawned.cgroup, ...this.#bounds()]) await this.#removeCgroup(dir);
      throw fromSystemError(error, `start the command of job ${this.#dir.jobId}`, this.#dir.jobId);
    }
  }

  #adoptRunner(runner: DetachedProcess): void {
    this.#runner = runner;
    const onEnd = () => {
      this.#runner = undefined;
      this.#runnerEndedMs = performance.now();
    };
    runner.ended.addEventListener("abort", onEnd, { once: true });
  }

  /** Does it in background, and later where its runner, which may be in it, has not ended. */
  async #removeCgroup(cgroup: string): Promise<void> {
    if (await removeCgroupInBackground(cgroup)) return;
    const ended = this.#runner?.ended;
    if (ended) ended.addEventListener("abort", () => removeCgroup(cgroup), { once: true });
    else setTimeout(() => removeCgroup(cgroup), RUNNER_END_MS).unref();
  }

  /**
   * Returns a time when the session was still the job's, of one whose runner has ended a
   * moment ago: until a pid comes round again, the kernel assigns all others.
   */
  #sessionMark({ cgroup }: Identity): string | undefined {
    if (cgroup !== "") return undefined;
    const recordedMs = readExitRecord(this.#dir.exit)?.completedTime.getTime() ?? 0;
    const agoMs = [performance.now() - this.#runnerEndedMs, Date.now() - recordedMs];
    const isRecent = agoMs.some((ms) => ms >= 0 && ms < PROOF_VALIDITY_MS);
    return isRecent ? processTable().mark() : undefined;
  }

  /** The job's cgroups of version 1, which never change once its runner was started. */
  #bounds(): readonly string[] {
    this.#knownBounds ??= readBounds(this.#dir);
    return this.#knownBounds;
  }

  #hasDoneNothing({ ended }: DetachedProcess): boolean {
    return ended.aborted && readProcessRecord(this.#dir).kind === "missing";
  }

  /** Ends whatever the runner has started: nothing of a Start that failed may run. */
  async #endFailedStart(runner: DetachedProcess): Promise<void> {
    killRunner(runner);
    // A runner in a terminal is in another session, and may be about to execute the command.
    if (await this.abandon().catch(() => false)) return;
    const identity = this.#knownIdentity();
    if (identity) await this.#stop.stop(identity, 0, new AbortController().signal);
  }

  /**
   * Aborts the start of a runner that has not recorded its command's identity.
   * @returns the identity, where the runner has recorded it after all
   * @throws ProcmanError that says why the runner failed; nothing runs then
   */
  async #abortStart(): Promise<Identity> {
    const identity = (await this.abandon()) ? undefined : this.#knownIdentity();
    if (identity) return identity;
    const { jobId, path } = this.#dir;
    try {
      // Whether files can be written, since the runner does not say.
      checkRoom(path, NEEDED_BYTES);
    } catch (error) {
      throw fromSystemError(error, `write to ${path}`, jobId);
    }
    const complaint = terminalComplaint(this.#dir);
    const why =
      complaint === undefined
        ? "its runner could not start it (out of processes or memory)"
        : `its terminal could not be made: ${complaint}`;
    throw new ProcmanError("PROCESS_LIMIT", `start the command of job ${jobId}: ${why}`, { jobId });
  }

  /** Returns the recorded identity, or the one last read where the record cannot be read. */
  #knownIdentity(): Identity | undefined {
    try {
      const record = this.#readRecord();
      return record.kind === "complete" ? record : this.#identity;
    } catch {
      return undefined;
    }
  }

  /** Returns the record, or what was last read of it where it cannot be read, or was damaged since. */
  #readRecord(): ProcessRecord {
    try {
      const record = readProcessRecord(this.#dir);
      if (record.kind !== "incomplete" || !this.#identity) return record;
    } catch (error) {
      if (!this.#identity) throw error;
    }
    return { kind: "complete", ...this.#identity };
  }

  /** @returns undefined where there is no record of its processes, and none is known to be alive */
  #inspectNow(): Observation | undefined {
    const known = this.#identity;
    const exit = known && readExitRecord(this.#dir.exit);
    // What is known of its processes does not change, unless the command could not be executed.
    if (exit && !NOT_EXECUTED_CODES.has(exit.exitCode)) return this.#exitedAs(known, exit);
    let record: ProcessRecord;
    try {
      record = this.#readRecord();
    } catch (error) {
      return this.#inspectDamaged(error);
    }
    switch (record.kind) {
      case "missing": {
        const seen = this.#identity && this.#inspectStarted(this.#identity);
        return seen?.kind === "gone" ? undefined : seen;
      }
      case "abandoned":
        return { kind: "not-started" };
      case "incomplete":
        return this.#inspectIncomplete();
      case "complete":
        this.#identity = record;
        return this.#inspectStarted(record);
    }
  }

  /**
   * Tells a job whose directory was deleted from one whose directory cannot be reached now.
   * @throws ProcmanError for the latter
   */
  async #isThere(): Promise<boolean> {
    const { path } = this.#dir;
    const unreachable = (cause: unknown): never => {
      throw fromSystemError(cause, `access ${path}`);
    };
    const exists = () =>
      access(path).then(
        () => true,
        (error: unknown) => (hasCode(error, "ENOENT") ? false : unreachable(error)),
      );
    if (await exists()) return true;
    await access(dirname(path)).catch(unreachable);
    // All of it may have been away, and be back.
    return exists();
  }

  /** Its own program may yet record how a command without a runner has ended. */
  #inspectBareEnd(started: Started, { startTime }: ProcessRef): Observation {
    const exit = this.#shared.bareExit(this.#dir);
    if (exit) return { kind: "exited", ...started, ...exit };
    this.#bareEndSeenMs ??= performance.now();
    if (performance.now() - this.#bareEndSeenMs < BARE_EXIT_TIMEOUT_MS) {
      const ageMs = processTable().ageMs(startTime);
      return { kind: "alive", recorded: false, isEnding: true, ageMs, ...started };
    }
    const reason = "another program started it, and has not recorded how it ended";
    return { kind: "gone", started, reason };
  }

  #inspectIncomplete(): Observation {
    if (this.#isNamedByProcess()) return { kind: "starting" };
    // The runner may have completed the record and ended since. Now the record is final.
    const record = readProcessRecord(this.#dir);
    return record.kind === "complete" ? this.#inspectStarted(record) : this.#inspectUnidentified();
  }

  /** Its command can have made something else of the record. @throws for what may be read later */
  #inspectDamaged(error: unknown): Observation {
    const { cause } = error as Error;
    if (!hasCode(cause, "EFTYPE", "EFBIG", "ELOOP", "ENXIO")) throw error;
    // Who runs cannot be told, and neither be signalled.
    if (!readExitRecord(this.#dir.exit) && this.#isNamedByProcess()) throw error;
    return this.#inspectUnidentified();
  }

  /** Of processes that are gone, and of which no record tells which they were. */
  #inspectUnidentified(): Observation {
    const exit = readExitRecord(this.#dir.exit) ?? readExitRecord(this.#dir.ended);
    return exit ? { kind: "exited", ...exit } : { kind: "not-started" };
  }

  /** Whether a process that runs has the job's directory as an argument, or writes its errors there. */
  #isNamedByProcess(): boolean {
    const errors = STREAMS.flatMap((stream) => [this.#dir.log(stream), this.#dir.fifo(stream)]);
    // A runner that was told of its job has no argument that names it, but its logs open.
    return processTable().hasArgument(this.#dir.path) || processTable().hasErrorOutput(errors);
  }

  #inspectStarted(identity: Identity): Observation {
    const { bootId, runner, exitRecorder, command } = identity;
    const started = startedAs(identity);
    // Checked before the exit records are read: a process that is gone writes none later.
    const hasTerminal = isInTerminal(identity);
    const recorded = isAlive(bootId, exitRecorder);
    const isRunning =
      (hasTerminal ? isAlive(bootId, runner) : recorded) || isAlive(bootId, command);
    const ended = hasTerminal ? readExitRecord(this.#dir.ended) : undefined;
    // The runner's own record counts where the exit recorder is gone.
    const exit = readExitRecord(this.#dir.exit) ?? (recorded ? undefined : ended);
    if (exit) return this.#exitedAs(identity, exit);
    if (recorded || isRunning) {
      const isEnding = ended !== undefined || !isRunning;
      return {
        kind: "alive",
        recorded,
        isEnding,
        // Rarely asked for.
        get ageMs() {
          return processTable().ageMs(command.startTime);
        },
        ...started,
      };
    }
    const isSameBoot = bootId === processTable().bootId();
    if (identity.isBare && isSameBoot) return this.#inspectBareEnd(started, command);
    if (isSameBoot) {
      const reason = `its runner (process ${exitRecorder.pid}) is gone and left no record of how the command ended`;
      return { kind: "gone", started, reason };
    }
    const reason = isCopied(identity)
      ? "this state directory is a copy: the job's processes belong to the original"
      : "the machine was restarted while the command ran";
    return { kind: "gone", started, reason };
  }

  #exitedAs(identity: Identity, exit: Exit): Observation {
    const { notExecuted } = identity;
    // A command that has succeeded all the same needs no reason.
    const outOfMemory = exit.exitCode === 0 ? undefined : this.#outOfMemory(identity);
    return {
      kind: "exited",
      ...startedAs(identity),
      ...exit,
      ...defined({ notExecuted, outOfMemory }),
    };
  }

  #outOfMemory({ bootId, cgroup }: Identity): OutOfMemory | undefined {
    // After a reboot they are gone, and with a new one of the same name nothing is known.
    if (bootId !== processTable().bootId()) return undefined;
    return outOfMemory(cgroup, this.#bounds());
  }

  /** Continues the terminal: it stops itself with its runner, but does not continue with it. */
  #continueTerminal(): void {
    try {
      if (this.#identity) signalTerminal(this.#identity, "SIGCONT");
    } catch {
      // Without descriptors for a look at it, say: the next check tries again.
    }
  }

  #watchCarriers(): () => void {
    const identity = this.#identity ?? this.#knownIdentity();
    if (!identity?.carriers) return () => {};
    return this.#shared.ticker.add(() => this.#carriers.restore(identity));
  }

  #stopDraining(): void {
    this.#drain?.dispose();
    this.#drain = undefined;
  }
}

function startedAs({ command, startedTime, cgroup }: Identity): Started {
  return { pid: command.pid, startedTime, containment: cgroup === "" ? "session" : "cgroup" };
}

/**
 * Whether nothing is left of the process group that a job's command was in, which few
 * processes of a session leave, once its runner is through. To look through a session
 * takes a look at every process of the machine.
 */
async function isGroupGone({ runner }: Identity): Promise<boolean> {
  const untilMs = performance.now() + GROUP_END_MS;
  for (;;) {
    if (sendSignal(-runner.pid, 0) === "gone") return true;
    if (performance.now() > untilMs) return false;
    await sleep(GROUP_POLL_INTERVAL_MS);
  }
}
