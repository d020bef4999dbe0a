import type { InputPosition, SendInputOptions } from "../contract/procman.js";
import { jobNotRunning, ProcmanError } from "../contract/errors.js";
import { isTerminal, type WindowSize } from "../contract/job.js";
import type { JobEntry } from "./job-entry.js";
import type { Engine, JobStore } from "./ports.js";
import { validInputPiece, validWindowSize } from "./validate.js";

export interface JobInputOptions {
  readonly engine: Engine;
  readonly store: JobStore;
  /** Holds a job against its files and processes. */
  readonly reconcile: (entry: JobEntry) => Promise<unknown>;
}

/** What goes into jobs: their input, and their terminals' sizes. */
export class JobInput {
  readonly #options: JobInputOptions;

  constructor(options: JobInputOptions) {
    this.#options = options;
  }

  /** @throws ProcmanError as the contract says for SendInput */
  async send(
    entry: JobEntry,
    options: SendInputOptions,
    signal: AbortSignal,
  ): Promise<InputPosition> {
    const { engine, store } = this.#options;
    const piece = validInputPiece(options);
    if (!entry.record.spec.stdin) {
      const message = `job ${entry.id} takes no input: it was started without stdin`;
      throw new ProcmanError("INPUT_NOT_OPEN", message, { jobId: entry.id });
    }
    try {
      return { nextOffset: await engine.sendInput(store.dirOf(entry.id), piece, signal) };
    } catch (error) {
      if (!(error instanceof ProcmanError) || error.reason !== "INPUT_NOT_OPEN") throw error;
      throw (await this.#hasEnded(entry)) ? jobNotRunning(entry.id) : error;
    }
  }

  /** @throws ProcmanError JOB_NOT_RUNNING, NO_TERMINAL, INVALID_ARGUMENT */
  async resize(entry: JobEntry, size: WindowSize): Promise<void> {
    const { engine, store } = this.#options;
    validWindowSize(size);
    if (isTerminal(entry.record.state)) throw jobNotRunning(entry.id);
    if (await engine.resizeWindow(store.dirOf(entry.id), size)) return;
    if (await this.#hasEnded(entry)) throw jobNotRunning(entry.id);
    throw new ProcmanError("NO_TERMINAL", `job ${entry.id} has no terminal`, { jobId: entry.id });
  }

  async #hasEnded(entry: JobEntry): Promise<boolean> {
    await this.#options.reconcile(entry);
    return isTerminal(entry.record.state);
  }
}
