import { ProcmanError } from "../../contract/errors.js";
import type { JobDir } from "../../core/job-dir.js";
import { thinnedSpans } from "../../core/output-spans.js";
import type { OutputSpan } from "../../core/ports.js";
import { type Stream, STREAMS } from "../../contract/job.js";
import { hasCode } from "../../platform/errno.js";
import type { PathWatch } from "../../platform/watch-path.js";
import { statLog } from "../reading/log-file.js";
import type { LogPlaces } from "../reading/log-place.js";
import type { GrowthRecorder } from "./growth-recorder.js";

/** After so many looks that found nothing new, the kernel is asked to tell instead. */
const QUIET_LOOKS = 3;
/** Where it does not, a quiet log is looked at each so many ticks. */
const UNWATCHED_TICKS = 10;
/** What was seen is written after this time, together. */
const MAX_UNWRITTEN_MS = 2000;
/** Where it cannot be written, neighbours are joined beyond so many. */
const MAX_UNWRITTEN = 64;

export interface JobGrowthOptions {
  readonly dir: JobDir;
  readonly places: () => LogPlaces;
  /** Before it the logs were empty; undefined where nobody knows what was seen last. */
  readonly beganMs: number | undefined;
}

/**
 * Records when the logs of one job grow. While they do they are looked at once a second;
 * while they do not the kernel watches them, so that what is written after a silence has
 * its time nearly to the millisecond. A job that ends before the first tick costs nothing.
 */
export class JobGrowth {
  readonly #shared: GrowthRecorder;
  readonly #options: JobGrowthOptions;
  /** How far each log is known, and when it was looked at. */
  readonly #sizes: Record<Stream, number> = { stdout: 0, stderr: 0 };
  #lookedMs: number;
  #hasBegun = false;
  #isOver = false;
  #unwritten: OutputSpan[] = [];
  #unwrittenSinceMs = 0;
  #watching: PathWatch | undefined;
  #armedMs = 0;
  #quietLooks = 0;
  #idleTicks = 0;
  #isFailing = false;
  /** Called with each span as it is seen. */
  readonly listeners = new Set<(span: OutputSpan) => void>();

  constructor(shared: GrowthRecorder, options: JobGrowthOptions) {
    this.#shared = shared;
    this.#options = options;
    this.#lookedMs = options.beganMs ?? Date.now();
    shared.set(this, "growing");
  }

  /** What was seen and is not in the file yet. */
  get unwritten(): readonly OutputSpan[] {
    return this.#unwritten;
  }

  /** The last time at which the logs are known to have been as long as they were seen to be. */
  get unchangedMs(): number {
    const { servedMs } = this.#shared;
    const isWatched = this.#watching !== undefined && servedMs >= this.#armedMs;
    return isWatched ? Math.max(servedMs, this.#lookedMs) : this.#lookedMs;
  }

  /** How long a log was seen to be. */
  sizeOf(stream: Stream): number {
    return this.#sizes[stream];
  }

  /** Takes in what was written since the last look. Two system calls. */
  look(): void {
    if (this.#isOver) return;
    if (!this.#hasBegun) this.#begin();
    const fromMs = this.unchangedMs;
    const nowMs = Date.now();
    let hasGrown = false;
    for (const stream of STREAMS) {
      const begin = this.#sizes[stream];
      const end = this.#sizeNow(stream);
      this.#sizes[stream] = end;
      if (end > begin) {
        hasGrown = true;
        this.#note({ stream, begin, end, fromMs, toMs: nowMs });
      }
    }
    this.#lookedMs = nowMs;
    this.#quietLooks = hasGrown ? 0 : this.#quietLooks + 1;
  }

  /** Looks at a job that grows, and now and then at a quiet one. */
  onTick(): void {
    if (this.#quietLooks >= QUIET_LOOKS && !this.#watching) {
      this.#idleTicks += 1;
      if (this.#idleTicks % UNWATCHED_TICKS !== 0) return;
    }
    this.look();
    const isOld = Date.now() - this.#unwrittenSinceMs >= MAX_UNWRITTEN_MS;
    if (this.#unwritten.length > 0 && isOld) this.#write();
    if (this.#quietLooks >= QUIET_LOOKS) this.#rest();
    else if (this.#watching) this.#wake();
  }

  /** Leaves the job to the next server: notes also that nothing more was there by now. */
  leave(): void {
    if (this.#isOver) return;
    if (this.#hasBegun) {
      this.look();
      for (const stream of STREAMS) {
        const end = this.#sizes[stream];
        const atMs = this.#lookedMs;
        this.#note({ stream, begin: end, end, fromMs: atMs, toMs: atMs });
      }
    }
    this.end();
  }

  /** Takes a last look, and writes what is left to write. */
  end(): void {
    if (this.#isOver) return;
    // What a short job has written has the times of the job.
    if (this.#hasBegun) {
      this.look();
      this.#write();
    }
    this.#isOver = true;
    this.#unwatch();
    this.#shared.set(this, "over");
  }

  #begin(): void {
    this.#hasBegun = true;
    const { dir, beganMs } = this.#options;
    if (beganMs !== undefined) return;
    let known: readonly OutputSpan[] = [];
    try {
      known = this.#shared.store.read(dir);
    } catch (error) {
      this.#failed(error);
    }
    const nowMs = Date.now();
    for (const stream of STREAMS) {
      const end = this.#sizeNow(stream);
      const knownEnd = known.findLast((span) => span.stream === stream)?.end ?? 0;
      this.#sizes[stream] = end;
      // Nobody has seen when it grew, but only that it had by now.
      if (end !== knownEnd) this.#note({ stream, begin: end, end, fromMs: nowMs, toMs: nowMs });
    }
    this.#lookedMs = nowMs;
  }

  #note(span: OutputSpan): void {
    if (this.#unwritten.length === 0) this.#unwrittenSinceMs = Date.now();
    this.#unwritten.push(span);
    for (const listener of this.listeners) listener(span);
  }

  /** Has the kernel tell of the next change. What was seen is written before, as that is one. */
  #rest(): void {
    if (this.#unwritten.length > 0) this.#write();
    if (this.#watching) return;
    this.#watching = this.#shared.watch(
      this.#options.dir.path,
      () => this.#noticed(),
      () => this.#wake(),
      { keepsAlive: false },
    );
    if (!this.#watching) return;
    this.#shared.set(this, "quiet");
    this.look();
    this.#armedMs = Date.now();
    if (this.#quietLooks === 0) this.#wake();
  }

  #noticed(): void {
    this.look();
    this.#wake();
  }

  /** Looks at the logs with each tick again: a log that grows would be told of at each write. */
  #wake(): void {
    this.#unwatch();
    this.#quietLooks = 0;
    this.#idleTicks = 0;
    if (!this.#isOver) this.#shared.set(this, "growing");
  }

  #unwatch(): void {
    this.#watching?.close();
    this.#watching = undefined;
  }

  #write(): void {
    const spans = this.#unwritten;
    if (spans.length === 0) return;
    try {
      this.#shared.store.append(this.#options.dir, spans);
      this.#unwritten = [];
      this.#isFailing = false;
    } catch (error) {
      this.#unwrittenSinceMs = Date.now();
      if (spans.length > MAX_UNWRITTEN) this.#unwritten = thinnedSpans(spans, MAX_UNWRITTEN);
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    // Where the job was removed there is nothing to be said.
    if (!this.#isFailing && !isGone(error)) {
      const { jobId } = this.#options.dir;
      const message = "when a job's output was written cannot be noted now";
      this.#shared.log.warn({ jobId, err: error }, message);
    }
    this.#isFailing = true;
  }

  #sizeNow(stream: Stream): number {
    const { dir, places } = this.#options;
    try {
      return statLog(dir.log(stream), { firstOffset: 0, place: places()[stream] }).size;
    } catch {
      return this.#sizes[stream];
    }
  }
}

/** Whether the job's files are not there any more. */
function isGone(error: unknown): boolean {
  return error instanceof ProcmanError && hasCode(error.cause, "ENOENT");
}
