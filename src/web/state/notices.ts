import { signal } from "@preact/signals-core";
import { ProcmanError } from "../../contract/errors.js";
import { sleep } from "../../platform/timers.js";
import { visible } from "./words.js";

/** What the page has to say about something that was done. */
export interface Notice {
  readonly number: number;
  readonly kind: "done" | "failed";
  readonly text: string;
  /** One line each: the fields that are wrong, the jobs that failed. */
  readonly details: readonly string[];
  /** What can be done about it. */
  readonly offer?: Offer;
}

export interface Offer {
  readonly label: string;
  readonly take: () => void;
}

const DONE_SHOWN_MS = 6000;
const MAX_DETAILS = 8;

export class Notices {
  readonly shown = signal<readonly Notice[]>([]);
  #count = 0;

  done(text: string): void {
    const notice = this.#add("done", text, []);
    void sleep(DONE_SHOWN_MS).then(() => this.dismiss(notice));
  }

  failed(text: string, details: readonly string[] = [], offer?: Offer): void {
    this.#add("failed", text, details, offer);
  }

  /** Says what an action failed with. @param attempt "cancel the job" */
  error(attempt: string, error: unknown): void {
    const { text, details } = errorWords(error);
    this.failed(`Could not ${attempt}: ${text}`, details);
  }

  dismiss(notice: Notice): void {
    this.shown.value = this.shown.value.filter((each) => each !== notice);
  }

  #add(kind: Notice["kind"], text: string, all: readonly string[], offer?: Offer): Notice {
    const more = all.length - MAX_DETAILS;
    const details = more > 0 ? [...all.slice(0, MAX_DETAILS), `and ${more} more`] : all;
    this.#count += 1;
    const notice = { number: this.#count, kind, text, details, ...(offer && { offer }) };
    this.shown.value = [...this.shown.value.slice(-3), notice];
    return notice;
  }
}

/** Says in words what something failed with, and each field that is wrong. */
export function errorWords(error: unknown): { text: string; details: readonly string[] } {
  if (!(error instanceof ProcmanError)) {
    return { text: error instanceof Error ? visible(error.message) : String(error), details: [] };
  }
  const details = error.violations.map(({ field, description }) =>
    visible(`${field}: ${description}`),
  );
  const text = details.length > 0 ? "something in it is not right" : visible(error.message);
  return { text, details };
}
