import type { JobDir } from "../../../core/job-dir.js";
import type { RemainingProcesses } from "../../../core/ports.js";
import { readSmallFile } from "../../../platform/small-file.js";
import type { Ticker } from "../../../platform/ticker.js";
import { watchPath } from "../../../platform/watch-path.js";
import { type ProcessRef, processTable } from "../process/processes.js";
import { sendSignal } from "../process/signals.js";
import type { Identity } from "../runner/runner-records.js";
import { cgroupEvents, cgroupTreeMembers } from "./cgroup.js";
import { jobProcesses, Session, sparedPids } from "./session.js";
import type { SessionStop } from "./session-stop.js";

/** How long a look at a session counts, which takes one at every process of the machine. */
const LOOK_VALIDITY_MS = 250;

export interface RemainingOptions {
  readonly dir: JobDir;
  readonly identity: Identity;
  readonly stop: SessionStop;
  readonly ticker: Ticker;
  /** A time when the session was the job's, where one is known. */
  readonly mark: string | undefined;
  /** Deletes the cgroup, whose last process has ended. */
  readonly onNone: () => void;
}

/**
 * What the command of an ended job has left behind. Where the job has a cgroup, that holds
 * all of it. Else it is what is in its session, as long as that is known to be the job's.
 */
export class JobRemaining implements RemainingProcesses {
  readonly #options: RemainingOptions;
  #openedSession: Session | undefined;
  #seen: readonly ProcessRef[] = [];
  #seenAtMs = Number.NEGATIVE_INFINITY;
  #mark: string | undefined;

  constructor(options: RemainingOptions) {
    this.#options = options;
    const { identity, mark } = options;
    // A session that a cgroup's processes may have left tells nothing.
    this.#mark = identity.cgroup === "" ? mark : undefined;
  }

  /** Made when it is needed: of most jobs a cgroup tells all. */
  get #session(): Session {
    this.#openedSession ??= new Session(this.#options.identity, this.#mark);
    return this.#openedSession;
  }

  get mark(): string | undefined {
    return this.#mark;
  }

  count(): number {
    const { identity } = this.#options;
    if (identity.bootId !== processTable().bootId()) return 0;
    if (identity.cgroup === "") return this.#inSession().length;
    const members = cgroupTreeMembers(identity.cgroup);
    if (members.length === 0) return 0;
    const spared = new Set(sparedPids(identity));
    return members.filter((pid) => !spared.has(pid)).length;
  }

  onChange(listener: () => void): () => void {
    const { identity, ticker } = this.#options;
    const quietly = { keepsAlive: false };
    const watch =
      identity.cgroup === ""
        ? undefined
        : watchPath(cgroupEvents(identity.cgroup), listener, () => {}, quietly);
    const stopPolling = ticker.add(listener, quietly);
    return () => {
      watch?.close();
      stopPolling();
    };
  }

  signal(signal: NodeJS.Signals): boolean {
    const { identity } = this.#options;
    const all = jobProcesses(identity, this.#session).filter(({ zombie }) => !zombie);
    for (const { pid, startTime } of all) {
      if (processTable().lookup(pid)?.startTime === startTime) sendSignal(pid, signal);
    }
    return all.length > 0;
  }

  async stop(gracePeriodMs: number, signal: AbortSignal): Promise<void> {
    const { identity, stop } = this.#options;
    await stop.stop(identity, gracePeriodMs, signal, { mark: this.#mark });
  }

  release(): void {
    this.#options.onNone();
  }

  #inSession(): readonly ProcessRef[] {
    const now = performance.now();
    if (now - this.#seenAtMs > LOOK_VALIDITY_MS) {
      const feeder = feederPid(this.#options.dir);
      this.#seen = this.#session.members().filter(({ pid }) => pid !== feeder);
      this.#seenAtMs = now;
      // It was just proven to be the job's.
      if (this.#seen.length > 0) this.#mark = processTable().mark();
    }
    return this.#seen.filter(({ pid, startTime }) => {
      const info = processTable().lookup(pid);
      return info?.startTime === startTime && !info.zombie;
    });
  }
}

/** What fed the command's input ends by itself. */
function feederPid({ inputFeeder }: JobDir): number | undefined {
  try {
    return Number(readSmallFile(inputFeeder).text);
  } catch {
    return undefined;
  }
}
