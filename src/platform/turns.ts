import { setImmediate as eventLoopTurn } from "node:timers/promises";

/** How long steps may go on before others get a turn of the event loop. */
const MAX_TURN_MS = 2;

/** Shares the event loop between a long run of short synchronous steps and everybody else. */
export class Turns {
  #endsMs = 0;

  /** Whether `next` would wait: for who has too many steps to await each. */
  get isOver(): boolean {
    return performance.now() >= this.#endsMs;
  }

  /** To be awaited before each step: waits until the others had their turn, where it is time. */
  async next(): Promise<void> {
    if (!this.isOver) return;
    await eventLoopTurn();
    this.#endsMs = performance.now() + MAX_TURN_MS;
  }
}
