import { access, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fromSystemError, invalidArgument, ProcmanError } from "../../contract/errors.js";
import type { JobSpec, Started, WindowSize } from "../../contract/job.js";
import type { Engine, InputPiece, Observation, PreparedCommand } from "../../core/ports.js";
import { leaveJobCgroup, makeCgroup, removeCgroup, removeCgroupOf } from "./containment/cgroup.js";
import { ExitWatch } from "./runner/exit-watch.js";
import {
  claimProcessRecord,
  type Identity,
  isInTerminal,
  readExitRecord,
  readProcessRecord,
} from "./runner/job-files.js";
import { JobInputs } from "./input/job-input.js";
import { listeningPort } from "./process/listening-port.js";
import { prepareCommand } from "./runner/prepare-command.js";
import { processTable } from "./process/platform.js";
import { isStopUnfinished, SessionStops } from "./containment/session-stops.js";
import { isAlive, signalGroup, signalTerminal } from "./process/signals.js";
import {
  awaitIdentity,
  killRunner,
  type RunnerProcess,
  spawnRunner,
  terminalComplaint,
} from "./runner/spawn-runner.js";
import { resizeTerminal } from "./terminal/terminal.js";
import { TerminalDrains } from "./terminal/terminal-drains.js";

/** Runs commands as processes of this machine, each under a runner of its own. */
export class LocalEngine implements Engine {
  readonly #exits: ExitWatch;
  /** Runners that this process is the parent of, by the job's directory. */
  readonly #runners = new Map<string, RunnerProcess>();
  readonly #stops = new SessionStops();
  readonly #inputs = new JobInputs();
  readonly #drains = new TerminalDrains();
  /** Of jobs that have not been released: a job that deletes its files can still be ended. */
  readonly #identities = new Map<string, Identity>();

  constructor(options: { readonly pollIntervalMs: number }) {
    this.#exits = new ExitWatch(options.pollIntervalMs);
    leaveJobCgroup();
  }

  prepare(spec: JobSpec): Promise<PreparedCommand> {
    return prepareCommand(spec);
  }

  async start(dir: string, command: PreparedCommand): Promise<Started> {
    const cgroup = makeCgroup(command.spec.id) ?? "";
    const runner = await spawnRunner(dir, command, cgroup).catch((error: unknown) => {
      if (cgroup !== "") removeCgroup(cgroup);
      throw error;
    });
    this.#runners.set(dir, runner);
    runner.ended.addEventListener("abort", () => this.#runners.delete(dir), { once: true });
    try {
      const identity = (await awaitIdentity(dir, runner)) ?? (await this.#giveUp(dir, runner));
      this.#identities.set(dir, identity);
      // The runner could not enter it.
      if (identity.cgroup === "" && cgroup !== "") removeCgroup(cgroup);
      return startedAs(identity);
    } catch (error) {
      if (cgroup !== "") removeCgroup(cgroup);
      throw error;
    }
  }

  async abandon(dir: string): Promise<boolean> {
    if (await claimProcessRecord(dir)) {
      // Made by a server that died before the runner could write it down.
      removeCgroupOf(basename(dir));
      return true;
    }
    // The runner was first. It writes the record in one go, unless it cannot.
    for (;;) {
      const observation = await this.inspect(dir);
      if (observation.kind === "not-started") return true;
      if (observation.kind !== "starting") return false;
      await sleep(20);
    }
  }

  async inspect(dir: string): Promise<Observation> {
    const record = readProcessRecord(dir);
    switch (record.kind) {
      case "missing":
        return this.#inspectMissing(dir);
      case "abandoned":
        return { kind: "not-started" };
      case "incomplete":
        return this.#inspectIncomplete(dir);
      case "complete":
        this.#identities.set(dir, record);
        return this.#inspectStarted(dir, record);
    }
  }

  watchExit(dir: string, onChange: () => void): () => void {
    let pid: number | undefined;
    const stop = this.#exits.add(dir, () => (pid ??= this.#identityOf(dir)?.runner.pid), onChange);
    const ended = this.#runners.get(dir)?.ended;
    ended?.addEventListener("abort", onChange);
    return () => {
      stop();
      ended?.removeEventListener("abort", onChange);
    };
  }

  signal(dir: string, signal: string): Promise<boolean> {
    const name = signalName(signal);
    const identity = this.#identityOf(dir);
    return Promise.resolve(identity !== undefined && signalGroup(identity, name));
  }

  sendInput(dir: string, piece: InputPiece, signal: AbortSignal): Promise<number> {
    const identity = this.#identityOf(dir);
    return this.#inputs.send(dir, piece, identity !== undefined && isInTerminal(identity), signal);
  }

  async resizeWindow(dir: string, size: WindowSize): Promise<boolean> {
    const identity = this.#identityOf(dir);
    if (!identity || !isInTerminal(identity)) return false;
    const { bootId, runner } = identity;
    return isAlive(bootId, runner) && resizeTerminal(runner.pid, size);
  }

  async stop(dir: string, gracePeriodMs: number, signal: AbortSignal): Promise<void> {
    const identity = this.#identityOf(dir);
    if (identity) await this.#stops.stop(dir, identity, gracePeriodMs, signal);
  }

  isStopping(dir: string): boolean {
    return this.#stops.isUnderWay(dir);
  }

  hasUnfinishedStop(dir: string): boolean {
    return isStopUnfinished(dir);
  }

  async listeningPort(dir: string, port: number): Promise<number | undefined> {
    const identity = this.#identityOf(dir);
    return identity && listeningPort(identity, port);
  }

  release(dir: string): void {
    const cgroup = this.#identityOf(dir)?.cgroup;
    if (cgroup) removeCgroup(cgroup);
    this.#identities.delete(dir);
    this.#drains.delete(dir);
  }

  close(): void {
    this.#exits.close();
  }

  /** A claim that fails means that the runner has recorded the command after all. */
  async #giveUp(dir: string, runner: RunnerProcess): Promise<Identity> {
    let identity: Identity | undefined;
    let complaint: string | undefined;
    try {
      if (!(await this.abandon(dir))) identity = this.#identityOf(dir);
      if (identity) return identity;
      await checkRoom(dir);
      complaint = await terminalComplaint(dir);
    } finally {
      if (!identity) killRunner(runner);
    }
    const why =
      complaint === undefined
        ? "its runner could not start it (out of processes or memory)"
        : `its terminal could not be made: ${complaint}`;
    const jobId = basename(dir);
    throw new ProcmanError("PROCESS_LIMIT", `start the command of job ${jobId}: ${why}`, { jobId });
  }

  /** Files that are out of reach say nothing about the job; those that are gone do. */
  async #inspectMissing(dir: string): Promise<Observation> {
    const known = this.#identities.get(dir);
    const seen = known && this.#inspectStarted(dir, known);
    if (seen && seen.kind !== "gone") return seen;
    const attempt = `look at ${dir}`;
    try {
      await access(dir);
      if (!known) return { kind: "not-started" };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw fromSystemError(error, attempt);
      await access(dirname(dir)).catch((cause: unknown) => {
        throw fromSystemError(cause, attempt);
      });
    }
    const started = known && startedAs(known);
    return { kind: "gone", reason: "its files were deleted", ...(started ? { started } : {}) };
  }

  /** What the job's file says, or what it said before it was deleted. */
  #identityOf(dir: string): Identity | undefined {
    const record = readProcessRecord(dir);
    return record.kind === "complete" ? record : this.#identities.get(dir);
  }

  #inspectIncomplete(dir: string): Observation {
    if (processTable().hasArgument(dir)) return { kind: "starting" };
    // It may have been completed since it was read; nobody is left to do so later.
    const record = readProcessRecord(dir);
    return record.kind === "complete" ? this.#inspectStarted(dir, record) : { kind: "not-started" };
  }

  #inspectStarted(dir: string, identity: Identity): Observation {
    const { bootId, runner, recorder, command, notExecuted } = identity;
    const started = startedAs(identity);
    // Before the records are looked for: who is gone has made theirs, or never will.
    const hasTerminal = isInTerminal(identity);
    const recorded = isAlive(bootId, recorder);
    const isRunning =
      (hasTerminal ? isAlive(bootId, runner) : recorded) || isAlive(bootId, command);
    const ended = hasTerminal ? readExitRecord(dir, "ended") : undefined;
    // A runner's own record counts where nobody is left to see to the job's.
    const exit = readExitRecord(dir) ?? (recorded ? undefined : ended);
    if (exit) {
      const complaint = notExecuted === undefined ? {} : { notExecuted };
      return { kind: "exited", ...started, ...exit, ...complaint };
    }
    if (recorded || isRunning) {
      const isEnding = ended !== undefined || !isRunning;
      if (isEnding) this.#drains.look(dir, identity);
      else signalTerminal(identity, "SIGCONT");
      const ageMs = processTable().ageMs(command.startTime);
      return { kind: "alive", recorded, isEnding, ageMs, ...started };
    }
    const reason =
      bootId === processTable().bootId()
        ? `its runner (process ${recorder.pid}) was killed before it could record how the command ended`
        : "the machine was restarted while the command ran";
    return { kind: "gone", started, reason };
  }
}

/** The runner says nothing of why it could not write: this finds out. */
async function checkRoom(dir: string): Promise<void> {
  const probe = join(dir, "probe");
  try {
    await writeFile(probe, Buffer.alloc(4096), { mode: 0o600 });
    await rm(probe, { force: true });
  } catch (error) {
    throw fromSystemError(error, `write to ${dir}`, basename(dir));
  }
}

function startedAs({ command, startedTime, cgroup }: Identity): Started {
  return { pid: command.pid, startedTime, containment: cgroup === "" ? "session" : "cgroup" };
}

function signalName(text: string): NodeJS.Signals {
  const upper = text.toUpperCase();
  const name = upper.startsWith("SIG") ? upper : `SIG${upper}`;
  if (!Object.hasOwn(constants.signals, name)) {
    throw invalidArgument("signal", `unknown signal ${JSON.stringify(text)}`);
  }
  return name as NodeJS.Signals;
}
