import type { Stream } from "../../contract/job.js";
import type { OutputPart, Procman, WrittenBetween } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import type { Offsets, ScreenPiece } from "./log-state.js";
import { isSameRange } from "./moment.js";

/** How much is asked for where only the place counts. */
const PROBE_BYTES = 64;
/** While a log grows, the server looks at it once in that time. */
const LOOK_INTERVAL_MS = 1000;
/** Of more lines, and after so many looks, times are told less exactly. */
const MAX_TIMED_LINES = 3000;
const MAX_LOOKS = 60;
const LINE_FEED = 10;

/** When what begins there was written, up to the next one. */
interface TimeMark {
  readonly offset: number;
  readonly writtenBetween?: WrittenBetween;
}

/** Learns when a job's output was written, as far as the server knows. */
export class WrittenTimes {
  readonly #procman: Procman;
  readonly #jobId: string;

  constructor(procman: Procman, jobId: string) {
    this.#procman = procman;
    this.#jobId = jobId;
  }

  /** Returns where the first bytes are that may have been written at a time or since. */
  async placeSince(
    time: Date,
    streams: readonly Stream[],
  ): Promise<{ at: Offsets; stream: Stream } | undefined> {
    const { parts, stdoutNextOffset, stderrNextOffset } = await this.#procman.readOutput(
      this.#jobId,
      {
        streams,
        sinceTime: time,
        maxBytes: PROBE_BYTES,
        ends: "head",
        writtenTimes: true,
      },
    );
    const offsetOf = (stream: Stream) => parts.find((part) => part.stream === stream)?.offset;
    const toMs = ({ writtenBetween }: OutputPart) => writtenBetween?.to.getTime() ?? Infinity;
    const [first] = [...parts].sort((one, other) => toMs(one) - toMs(other));
    if (!first) return undefined;
    const at = {
      stdout: offsetOf("stdout") ?? stdoutNextOffset,
      stderr: offsetOf("stderr") ?? stderrNextOffset,
    };
    return { at, stream: first.stream };
  }

  /** Returns pieces with the times when they were written, and both streams in that order. */
  async inOrder(
    pieces: readonly ScreenPiece[],
    signal: AbortSignal,
  ): Promise<readonly ScreenPiece[]> {
    const timed: ScreenPiece[][] = [];
    for (const piece of pieces) timed.push(await this.#splitByTime(piece, signal));
    const [one = [], other = []] = timed;
    return merged(one, other);
  }

  /** Splits a piece, which has one range of time for all of its bytes, where that is long. */
  async #splitByTime(piece: ScreenPiece, signal: AbortSignal): Promise<ScreenPiece[]> {
    const { offset, data, writtenBetween: range } = piece;
    if (range && lengthMs(range) <= LOOK_INTERVAL_MS) return [piece];
    const begins =
      lineCount(data) > MAX_TIMED_LINES
        ? await this.#timesOfLooks(piece, signal)
        : await this.#timesOfLines(piece, signal);
    // It is gone from the log meanwhile.
    if (begins.length === 0) return [piece];
    return begins.map(({ writtenBetween }, index) => {
      const from = index === 0 ? offset : (begins[index]?.offset ?? offset);
      const to = begins[index + 1]?.offset ?? offset + data.length;
      const part = data.subarray(from - offset, to - offset);
      return { ...piece, offset: from, data: part, ...defined({ writtenBetween }) };
    });
  }

  /** Asks when each line was written. */
  async #timesOfLines(
    { stream, offset, data }: ScreenPiece,
    signal: AbortSignal,
  ): Promise<TimeMark[]> {
    const end = offset + data.length;
    const lines = this.#procman.watch(this.#jobId, {
      streams: [stream],
      [`${stream}Offset`]: offset,
      follow: false,
      writtenTimes: true,
      signal,
    });
    const begins: TimeMark[] = [];
    for await (const event of lines) {
      if (event.type !== "line") continue;
      if (event.offset >= end) break;
      if (!isSameRange(begins.at(-1)?.writtenBetween, event.writtenBetween)) begins.push(event);
      if (event.nextOffset >= end) break;
    }
    return begins;
  }

  /** Asks what was written since each time that somebody looked: of many lines, that is less. */
  async #timesOfLooks(
    { stream, offset, data, writtenBetween: whole }: ScreenPiece,
    signal: AbortSignal,
  ): Promise<TimeMark[]> {
    const end = offset + data.length;
    const begins: TimeMark[] = [];
    let sinceTime: Date | undefined;
    for (let at = offset; begins.length < MAX_LOOKS; ) {
      const { parts } = await this.#procman.readOutput(this.#jobId, {
        streams: [stream],
        [`${stream}Offset`]: at,
        maxBytes: 1,
        ends: "head",
        writtenTimes: true,
        ...defined({ sinceTime, signal }),
      });
      const [part] = parts;
      if (!part?.writtenBetween || part.offset >= end) return begins;
      // Where the clock was set, a later time may lead back.
      if (sinceTime && part.offset <= at) break;
      const { writtenBetween } = part;
      // A line counts by its end: what was begun before is of that time.
      const lineStart = data.subarray(0, part.offset - offset).lastIndexOf(LINE_FEED) + 1;
      begins.push({ offset: offset + lineStart, writtenBetween });
      at = part.offset;
      sinceTime = new Date(writtenBetween.to.getTime() + 1);
    }
    // What is left was written until the end of the whole.
    const last = begins.pop();
    if (!last?.writtenBetween || !whole) return begins;
    return [...begins, { ...last, writtenBetween: { ...whole, from: last.writtenBetween.from } }];
  }
}

/** Puts pieces of two streams into the order in which they were written, as far as that is known. */
function merged(one: readonly ScreenPiece[], other: readonly ScreenPiece[]): ScreenPiece[] {
  const all: ScreenPiece[] = [];
  let at = 0;
  for (const piece of one) {
    while (isEarlier(other[at], piece)) all.push(other[at++] as ScreenPiece);
    all.push(piece);
  }
  return [...all, ...other.slice(at)];
}

function isEarlier(one: ScreenPiece | undefined, other: ScreenPiece): boolean {
  const [range, otherRange] = [one?.writtenBetween, other.writtenBetween];
  if (!range || !otherRange) return false;
  const laterMs = otherRange.to.getTime() - range.to.getTime();
  return laterMs > 0 || (laterMs === 0 && range.from < otherRange.from);
}

function lengthMs({ from, to }: WrittenBetween): number {
  return to.getTime() - from.getTime();
}

function lineCount(data: Uint8Array): number {
  let count = 0;
  for (const byte of data) if (byte === LINE_FEED) count += 1;
  return count;
}
