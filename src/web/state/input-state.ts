import { signal } from "@preact/signals-core";
import type { ProcmanError } from "../../contract/errors.js";
import type { Procman } from "../../contract/procman.js";
import type { WindowSize } from "../../contract/job.js";
import { SerialQueue } from "../../platform/serial-queue.js";
import { sleep } from "../../platform/timers.js";

const MAX_PIECE_BYTES = 64 * 1024;
/** A window that is being dragged changes its size all the time. */
const RESIZE_DELAY_MS = 150;

/** What is sent to a job: keys and lines, in their order and once, and its terminal's size. */
export class InputState {
  readonly #procman: Procman;
  readonly #jobId: string;
  /** With it, and the offset, a call that is made again after a lost connection sends nothing twice. */
  readonly #sender = crypto.randomUUID();
  readonly #sends = new SerialQueue();
  #offset = 0;
  /** Typed while something else was on its way: it goes together. */
  #typed = "";
  #size: WindowSize | undefined;
  #hasTerminal = false;
  #isResizeDue = false;

  readonly error = signal<ProcmanError | undefined>(undefined);
  readonly isClosed = signal(false);

  constructor(procman: Procman, jobId: string) {
    this.#procman = procman;
    this.#jobId = jobId;
  }

  /** Sends keys to a terminal. */
  type(text: string): void {
    const isWaiting = this.#typed !== "";
    this.#typed += text;
    if (!isWaiting) void this.#sends.run(() => this.#sendTyped());
  }

  /** Sends a text to the input of a job. Resolves when it was taken; `error` says otherwise. */
  send(text: string): Promise<void> {
    return this.#sends.run(() => this.#send(new TextEncoder().encode(text)));
  }

  /** Says that nothing comes any more. */
  close(): Promise<void> {
    return this.#sends.run(async () => {
      await this.#send(new Uint8Array(), true);
      this.isClosed.value = this.error.value === undefined;
    });
  }

  /** The job has a terminal that is shown at that size, or none that takes a size. */
  setTerminal(size: WindowSize | undefined): void {
    this.#hasTerminal = size !== undefined;
    if (size) this.resize(size);
  }

  resize(size: WindowSize): void {
    this.#size = size;
    if (!this.#hasTerminal) return;
    if (this.#isResizeDue) return;
    this.#isResizeDue = true;
    void sleep(RESIZE_DELAY_MS).then(async () => {
      this.#isResizeDue = false;
      if (!this.#size || !this.#hasTerminal) return;
      // A job that has ended meanwhile has no size any more.
      await this.#procman.resizeWindow(this.#jobId, this.#size).catch(() => {});
    });
  }

  async #sendTyped(): Promise<void> {
    const text = this.#typed;
    this.#typed = "";
    await this.#send(new TextEncoder().encode(text));
  }

  async #send(data: Uint8Array, close = false): Promise<void> {
    try {
      let at = 0;
      do {
        const piece = data.subarray(at, at + MAX_PIECE_BYTES);
        at += piece.length;
        const { nextOffset } = await this.#procman.sendInput(this.#jobId, {
          sender: this.#sender,
          offset: this.#offset,
          data: piece,
          close: close && at >= data.length,
        });
        this.#offset = nextOffset;
      } while (at < data.length);
      this.error.value = undefined;
    } catch (error) {
      this.error.value = error as ProcmanError;
    }
  }
}
