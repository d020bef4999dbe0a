import { signal } from "@preact/signals-core";
import type { LogState } from "./log-state.js";
import { momentText, parseMoment } from "./moment.js";

/** Goes to what was written at a time that the user types. */
export class TimeJump {
  readonly #log: Pick<LogState, "goToTime">;
  readonly text = signal("");
  /** What is to be said about the last one that did not lead anywhere. */
  readonly said = signal("");

  constructor(log: Pick<LogState, "goToTime">) {
    this.#log = log;
  }

  /** @returns whether the log is shown from there on */
  async go(now = new Date()): Promise<boolean> {
    const time = parseMoment(this.text.value, now);
    if (!time) {
      this.said.value = 'Type "10m ago", "14:30" or "2026-01-31 14:30".';
      return false;
    }
    const isShown = await this.#log.goToTime(time);
    this.said.value = isShown ? "" : `Nothing was written since ${momentText(time)}.`;
    return isShown;
  }
}
