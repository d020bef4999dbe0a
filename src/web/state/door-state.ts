import { signal } from "@preact/signals-core";
import type { Stream } from "../../contract/job.js";
import { sleep } from "../../platform/timers.js";

/** What lets the page in. */
export interface Door {
  /** Whether this browser was let in before, and so most likely still is. */
  readonly isKnown: boolean;
  /** Asks whether there is a session. */
  look(): Promise<DoorAnswer>;
  /** Exchanges the secret of a link for a session. */
  enter(link: string): Promise<DoorAnswer>;
  /** Returns the address of a stream's log as a file, which counts once. */
  download(jobId: string, stream: Stream): Promise<string>;
  /** Ends the session. */
  leave(): Promise<void>;
}

export type DoorAnswer =
  | {
      readonly type: "in";
      readonly key?: string;
      readonly host?: string;
      readonly stateDir?: string;
    }
  | { readonly type: "out" | "failed"; readonly why: string };

export type DoorStatus =
  | { readonly type: "looking" }
  | { readonly type: "unreachable" }
  | { readonly type: "in"; readonly host: string; readonly stateDir: string }
  | { readonly type: "out"; readonly why: string };

const RETRY_INTERVAL_MS = 1000;
/** A page that is looked at is in use, also where it makes no call: see MAX_IDLE_MS. */
export const KEEP_INTERVAL_MS = 10 * 60_000;

/** Whether this page may call the server. */
export class DoorState {
  readonly #door: Door;
  readonly status = signal<DoorStatus>({ type: "looking" });

  constructor(door: Door) {
    this.#door = door;
  }

  /** Goes in, with a link or the session that there is; waits for a server that is away. */
  async open(link: string | undefined): Promise<void> {
    let refusal: string | undefined;
    // The jobs are asked for at once; where there is no session, that is what they are told.
    if (link === undefined && this.#door.isKnown) {
      this.status.value = { type: "in", host: "", stateDir: "" };
    }
    for (;;) {
      try {
        if (link !== undefined) {
          const entered = await this.#door.enter(link);
          if (entered.type !== "in") refusal = entered.why;
          link = undefined;
        }
        const answer = await this.#door.look();
        // A link that did not work does no harm where there is a session.
        if (answer.type === "in") {
          const { host = "", stateDir = "" } = answer;
          this.status.value = { type: "in", host, stateDir };
        } else {
          this.shut(refusal ?? answer.why);
        }
        return;
      } catch {
        if (this.status.peek().type !== "in") this.status.value = { type: "unreachable" };
        await sleep(RETRY_INTERVAL_MS);
      }
    }
  }

  /** Says that there is no session, or no more. */
  shut(why: string): void {
    this.status.value = { type: "out", why };
  }

  /** Keeps the session from ending as one that nobody uses. */
  async keep(): Promise<void> {
    const answer = await this.#door.look().catch(() => undefined);
    if (answer?.type === "out") this.shut(answer.why);
  }

  download(jobId: string, stream: Stream): Promise<string> {
    return this.#door.download(jobId, stream);
  }

  async leave(): Promise<void> {
    await this.#door.leave();
    this.shut("you have logged out");
  }
}
