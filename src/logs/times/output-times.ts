import { statSync } from "node:fs";
import type { Stream } from "../../contract/job.js";
import type { WrittenBetween } from "../../contract/procman.js";
import type { JobDir } from "../../core/job-dir.js";
import type { JobTimes, OutputSpan, OutputTimes } from "../../core/ports.js";
import type { JobGrowth } from "./job-growth.js";

/** Where somebody looks, it is known more exactly than this. */
const MAX_OBSERVED_MS = 2500;

/** The kernel's time of a change may be so much earlier than the change. */
const MTIME_SLACK_MS = 20;

/** What is known of bytes that no span has. */
export interface OpenEnd {
  /** A time before all of them were written, where that is known better than by what is before. */
  readonly fromMs?: number | undefined;
  /** A time after all of them were written. */
  readonly toMs: number;
}

export interface SpanTimesOptions {
  readonly spans: readonly OutputSpan[];
  /** No output was written before. */
  readonly beganMs: number;
  /** What is known of a byte behind all spans, now. */
  readonly openEnd: (stream: Stream, offset: number) => OpenEnd;
  readonly onClose?: () => void;
}

/** Bytes from `begin` on, up to where the next region begins. */
interface Region {
  readonly begin: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Nobody looked when they were written. */
  readonly isGap: boolean;
}

/**
 * Says when output was written, by what was seen of the logs' growth. Times of a clock
 * that was set back meanwhile make a range wider, never a negative one.
 */
export class SpanTimes implements OutputTimes {
  readonly #options: SpanTimesOptions;
  readonly #regions: Record<Stream, Region[]> = { stdout: [], stderr: [] };
  /** Where the last span of each stream ends, and when that was seen. */
  readonly #known: Record<Stream, { end: number; atMs: number }>;

  constructor(options: SpanTimesOptions) {
    this.#options = options;
    const { beganMs } = options;
    this.#known = {
      stdout: { end: 0, atMs: beganMs },
      stderr: { end: 0, atMs: beganMs },
    };
    for (const span of options.spans) this.add(span);
  }

  /** Takes in what was seen last. */
  add({ stream, begin, end, fromMs, toMs }: OutputSpan): void {
    const regions = this.#regions[stream];
    let known = this.#known[stream];
    if (begin < known.end) {
      // The log holds something else there than it did.
      while ((regions.at(-1)?.begin ?? -1) >= begin) regions.pop();
      known = { end: begin, atMs: known.atMs };
    }
    if (begin > known.end) {
      regions.push({ begin: known.end, ...ordered(known.atMs, fromMs), isGap: true });
    }
    if (end > begin) regions.push({ begin, ...ordered(fromMs, toMs), isGap: false });
    this.#known[stream] = { end, atMs: toMs };
  }

  beginOf(stream: Stream, since: Date): number {
    const sinceMs = since.getTime();
    const found = this.#regions[stream].find(({ toMs }) => toMs >= sinceMs);
    if (found) return found.begin;
    const { end } = this.#known[stream];
    return this.#openRegion(stream, end).toMs >= sinceMs ? end : Number.POSITIVE_INFINITY;
  }

  endOf(stream: Stream, until: Date): number {
    const untilMs = until.getTime();
    const { end } = this.#known[stream];
    if (this.#openRegion(stream, end).fromMs <= untilMs) return Number.POSITIVE_INFINITY;
    const regions = this.#regions[stream];
    const last = regions.findLastIndex(({ fromMs }) => fromMs <= untilMs);
    return last === -1 ? 0 : (regions[last + 1]?.begin ?? end);
  }

  writtenBetween(stream: Stream, begin: number, end: number, seenTime?: Date): WrittenBetween {
    const first = this.#regionOf(stream, begin);
    const last = this.#regionOf(stream, Math.max(begin, end - 1));
    const seenMs = Math.min(last.toMs, seenTime?.getTime() ?? Number.POSITIVE_INFINITY);
    const { fromMs, toMs } = ordered(first.fromMs, seenMs);
    const isWide = toMs - fromMs > MAX_OBSERVED_MS;
    const isUnobserved = isWide && (first.isGap || last.isGap);
    return {
      from: new Date(fromMs),
      to: new Date(toMs),
      ...(isUnobserved && { unobserved: true }),
    };
  }

  close(): void {
    this.#options.onClose?.();
  }

  #regionOf(stream: Stream, offset: number): Region {
    if (offset >= this.#known[stream].end) return this.#openRegion(stream, offset);
    const regions = this.#regions[stream];
    let low = 0;
    for (let high = regions.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((regions[middle] as Region).begin > offset) high = middle;
      else low = middle + 1;
    }
    return regions[low - 1] ?? this.#openRegion(stream, offset);
  }

  #openRegion(stream: Stream, offset: number): Region {
    const { end, atMs } = this.#known[stream];
    const { fromMs = atMs, toMs } = this.#options.openEnd(stream, offset);
    return { begin: end, ...ordered(fromMs, toMs), isGap: true };
  }
}

function ordered(oneMs: number, otherMs: number): { fromMs: number; toMs: number } {
  return { fromMs: Math.min(oneMs, otherMs), toMs: Math.max(oneMs, otherMs) };
}

/**
 * Returns a time after all that a log holds was written. Only its file tells of what
 * processes write that a job has left behind.
 */
export function lastWriteMs(path: string, completedMs: number, nowMs = Date.now()): number {
  let writtenMs = completedMs;
  try {
    writtenMs = (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) + MTIME_SLACK_MS;
  } catch {
    // It cannot be looked at now.
    return nowMs;
  }
  return Math.min(Math.max(writtenMs, completedMs), Math.max(nowMs, completedMs));
}

export interface OpenTimesOptions extends JobTimes {
  readonly dir: JobDir;
  readonly spans: readonly OutputSpan[];
  /** Of a job that runs. */
  readonly growth: JobGrowth | undefined;
}

/** Returns what is known of a job's output, and goes on with what is seen of its growth. */
export function openSpanTimes(options: OpenTimesOptions): SpanTimes {
  const { dir, spans, growth, createdTime, completedTime } = options;
  const lastWrites = new Map<Stream, number>();
  const openEnd = (stream: Stream, offset: number): OpenEnd => {
    if (completedTime) {
      const toMs = lastWrites.get(stream) ?? lastWriteMs(dir.log(stream), completedTime.getTime());
      lastWrites.set(stream, toMs);
      return { toMs };
    }
    const isSeen = growth !== undefined && offset >= growth.sizeOf(stream);
    return { fromMs: isSeen ? growth.unchangedMs : undefined, toMs: Date.now() };
  };
  const onSpan = (span: OutputSpan) => times.add(span);
  const onClose = () => growth?.listeners.delete(onSpan);
  const times = new SpanTimes({ spans, beganMs: createdTime.getTime(), openEnd, onClose });
  growth?.listeners.add(onSpan);
  return times;
}
