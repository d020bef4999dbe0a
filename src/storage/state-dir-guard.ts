import { ProcmanError } from "../contract/errors.js";
import type { Log } from "../contract/log.js";
import { SerialQueue } from "../platform/serial-queue.js";
import { Ticker } from "../platform/ticker.js";
import { type PathWatch, watchPath } from "../platform/watch-path.js";
import type { StateDirLock } from "./state-dir-lock.js";

/** How often to look at what the kernel has not told of. */
const CHECK_INTERVAL_MS = 2000;

/** How long the lock is missed before it is made again, lest `rm -r` finds a new one in its way. */
const SETTLING_MS = 2000;

/** For how long the directory may be away: moved, unmounted, replaced. */
const MAX_AWAY_MS = 20_000;

export interface StateDirGuardOptions {
  readonly stateDir: string;
  readonly lock: StateDirLock;
  readonly log: Log;
  /** Called once, when the directory is no longer this process's to change. */
  readonly onLost: (error: ProcmanError) => void;
  readonly maxAwayMs?: number;
}

/**
 * Notices what others do to the state directory: makes its lock again where that was
 * deleted, and tells when the directory is gone for good or another process's.
 */
export class StateDirGuard {
  readonly #options: StateDirGuardOptions;
  readonly #checks = new SerialQueue();
  readonly #stopTicking: () => void;
  #watch: PathWatch | undefined;
  #isCheckQueued = false;
  #isHeldByKernel = false;
  /** Not at the start: it loads a library. */
  #mayHoldByKernel = false;
  #awaySinceMs: number | undefined;
  #missedSinceMs: number | undefined;
  #isFailing = false;
  #isStopped = false;

  constructor(options: StateDirGuardOptions) {
    this.#options = options;
    const ticker = new Ticker(CHECK_INTERVAL_MS);
    this.#stopTicking = ticker.add(() => this.#onTick(), { keepsAlive: false });
    this.#watchAgain();
  }

  /** Resolves when nothing of it touches the directory any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopTicking();
    this.#watch?.close();
    await this.#checks.idle();
  }

  #onTick(): void {
    this.#mayHoldByKernel = true;
    this.#check();
  }

  #watchAgain(): void {
    const { stateDir } = this.#options;
    const lost = () => (this.#watch = undefined);
    this.#watch ??= watchPath(stateDir, () => this.#check(), lost, { keepsAlive: false });
  }

  #check(): void {
    if (this.#isCheckQueued || this.#isStopped) return;
    this.#isCheckQueued = true;
    const check = async () => {
      this.#isCheckQueued = false;
      if (!this.#isStopped) await this.#checkNow();
    };
    this.#checks.run(check).then(
      () => (this.#isFailing = false),
      (error: unknown) => {
        const { log, stateDir } = this.#options;
        if (!this.#isFailing) log.error({ err: error, stateDir }, "the lock cannot be checked");
        this.#isFailing = true;
      },
    );
  }

  async #checkNow(): Promise<void> {
    const { lock, stateDir } = this.#options;
    switch (lock.directory()) {
      case "deleted":
        return this.#lose(new ProcmanError("STORAGE_UNAVAILABLE", `${stateDir} was deleted`));
      case "away":
        return this.#checkAway();
      case "there":
        this.#awaySinceMs = undefined;
        this.#watchAgain();
        return this.#checkLock();
    }
  }

  #checkAway(): void {
    const { stateDir, maxAwayMs = MAX_AWAY_MS } = this.#options;
    // It watches the directory that was moved.
    this.#watch?.close();
    this.#watch = undefined;
    this.#awaySinceMs ??= performance.now();
    if (performance.now() - this.#awaySinceMs < maxAwayMs) return;
    this.#lose(new ProcmanError("STORAGE_UNAVAILABLE", `${stateDir} was moved or replaced`));
  }

  async #checkLock(): Promise<void> {
    const { lock, stateDir, log } = this.#options;
    try {
      if (await lock.isHeld()) this.#missedSinceMs = undefined;
      else if (!this.#hasSettled()) return;
      if (await lock.renew()) log.warn({ stateDir }, "the lock was deleted; it is made again");
      if (this.#isHeldByKernel || !this.#mayHoldByKernel) return;
      await lock.holdByKernel();
      this.#isHeldByKernel = true;
    } catch (error) {
      if (!(error instanceof ProcmanError)) throw error;
      this.#lose(error);
    }
  }

  #hasSettled(): boolean {
    this.#missedSinceMs ??= performance.now();
    return performance.now() - this.#missedSinceMs >= SETTLING_MS;
  }

  #lose(error: ProcmanError): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#options.onLost(error);
  }
}
