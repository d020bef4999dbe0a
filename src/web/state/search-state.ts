import { signal } from "@preact/signals-core";
import type { ProcmanError } from "../../contract/errors.js";
import type { Job, Stream } from "../../contract/job.js";
import type { OutputLine, Procman, SearchedOffsets } from "../../contract/procman.js";
import type { OutputChoice } from "./log-state.js";

const MAX_HITS = 500;

export interface SearchStatus {
  readonly hits: readonly OutputLine[];
  readonly isRunning: boolean;
  /** Whether there may be more hits than are kept. */
  readonly hasMore: boolean;
  /** How much of the log was looked at, 0 to 1. */
  readonly share: number;
}

const NOTHING: SearchStatus = { hits: [], isRunning: false, hasMore: false, share: 0 };

/** Looks for lines in the whole of a job's output. The server does it. */
export class SearchState {
  readonly #procman: Procman;
  readonly #jobId: string;
  #running: AbortController | undefined;

  readonly text = signal("");
  readonly isRegex = signal(false);
  readonly status = signal<SearchStatus | undefined>(undefined);
  readonly error = signal<ProcmanError | undefined>(undefined);
  /** The hit that is shown; -1 before the first one. */
  readonly current = signal(-1);

  constructor(procman: Procman, jobId: string) {
    this.#procman = procman;
    this.#jobId = jobId;
  }

  /**
   * Looks for the text from the beginning of what is there of the job's output.
   * @param onFirst is called with the first hit, while more are looked for
   */
  async run(job: Job, choice: OutputChoice, onFirst: (hit: OutputLine) => void): Promise<void> {
    this.stop();
    this.current.value = -1;
    this.error.value = undefined;
    const text = this.text.value;
    if (text === "") {
      this.status.value = undefined;
      return;
    }
    const running = new AbortController();
    this.#running = running;
    this.status.value = { ...NOTHING, isRunning: true };
    const pattern = this.isRegex.value ? `(?i)${text}` : `(?i)${literal(text)}`;
    const streams: readonly Stream[] = choice === "both" ? ["stdout", "stderr"] : [choice];
    const { signal } = running;
    try {
      const events = this.#procman.watch(this.#jobId, { streams, pattern, follow: false, signal });
      for await (const event of events) {
        if (event.type === "searched") this.#update({ share: shareOf(job, streams, event) });
        if (event.type !== "line") continue;
        if (this.current.value === -1) {
          this.current.value = 0;
          onFirst(event);
        }
        if (this.#add(event)) break;
      }
    } catch (error) {
      if (signal.aborted) return;
      this.error.value = error as ProcmanError;
    }
    if (!running.signal.aborted) this.#update({ isRunning: false, share: 1 });
  }

  stop(): void {
    this.#running?.abort();
    if (this.status.value?.isRunning) this.#update({ isRunning: false });
  }

  clear(): void {
    this.stop();
    this.text.value = "";
    this.status.value = undefined;
    this.error.value = undefined;
  }

  /** Goes to the next hit, or the one before. @returns it */
  step(steps: 1 | -1): OutputLine | undefined {
    const hits = this.status.value?.hits ?? [];
    if (hits.length === 0) return undefined;
    const from = this.current.value === -1 && steps === -1 ? 0 : this.current.value;
    this.current.value = (from + steps + hits.length) % hits.length;
    return hits[this.current.value];
  }

  /** @returns whether there are as many as are kept */
  #add(line: OutputLine): boolean {
    const hits = [...(this.status.value?.hits ?? []), line];
    const hasMore = hits.length >= MAX_HITS;
    this.#update({ hits, hasMore });
    return hasMore;
  }

  #update(change: Partial<SearchStatus>): void {
    this.status.value = { ...(this.status.value ?? NOTHING), ...change };
  }
}

/** Returns how much of the streams was looked at, 0 to 1. */
function shareOf(job: Job, streams: readonly Stream[], searched: SearchedOffsets): number {
  let [done, all] = [0, 0];
  for (const stream of streams) {
    const isOut = stream === "stdout";
    const first = isOut ? job.stdoutFirstOffset : job.stderrFirstOffset;
    all += (isOut ? job.stdoutBytes : job.stderrBytes) - first;
    done += Math.max(0, (isOut ? searched.stdoutOffset : searched.stderrOffset) - first);
  }
  return all === 0 ? 1 : Math.min(1, done / all);
}

/** Returns the pattern, in RE2's syntax, of a text as it is. */
export function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
