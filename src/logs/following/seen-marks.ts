/** Says that the bytes up to `end` had been seen at that time. */
interface SeenMark {
  readonly end: number;
  /** By a clock that never jumps. It orders the marks of all logs. */
  readonly orderMs: number;
  readonly time: Date;
}

/** The order of bytes that were there before the first refresh: before all that was seen to come. */
export const HISTORY = Number.NEGATIVE_INFINITY;

/** Beyond so many marks, the older ones are thinned out. */
const MAX_MARKS = 512;

/**
 * Knows when each byte of a growing log was seen first, by one mark for each
 * refresh that found the log grown. Most questions are about the last mark, so the search
 * begins there.
 */
export class SeenMarks {
  readonly #historyEnd: number;
  #marks: SeenMark[] = [];

  constructor(historyEnd: number) {
    this.#historyEnd = historyEnd;
  }

  /** Notes that the log was found to end here. */
  add(end: number): void {
    const last = this.#marks.at(-1)?.end ?? this.#historyEnd;
    // Where somebody has truncated the log, it is not known which bytes are new.
    if (end <= last) return;
    this.#marks.push({ end, orderMs: performance.now(), time: new Date() });
    // The bytes of a mark that goes count as seen by the next one, which is still true.
    if (this.#marks.length > MAX_MARKS) this.#marks = this.#marks.filter((_, i) => i % 2 === 0);
  }

  /** Orders the byte at `position` among those of all logs. */
  orderOf(position: number): number {
    return this.#markOf(position)?.orderMs ?? HISTORY;
  }

  /** When the byte at `position` was seen. Undefined for history. */
  timeOf(position: number): Date | undefined {
    return this.#markOf(position)?.time;
  }

  /**
   * The end of the bytes from `position` on that were seen before `orderMs`. Those
   * seen together with the first one count in any case. History has an end of its
   * own, so that it never shares a chunk with what was seen to come.
   */
  endOfSeenBefore(position: number, orderMs: number): number {
    if (position < this.#historyEnd) return this.#historyEnd;
    if (orderMs === Number.POSITIVE_INFINITY) return orderMs;
    const index = this.#indexOf(position);
    let end = this.#marks[index]?.end ?? Number.POSITIVE_INFINITY;
    for (let i = index + 1; i < this.#marks.length; i += 1) {
      const mark = this.#marks[i] as SeenMark;
      if (mark.orderMs >= orderMs) break;
      end = mark.end;
    }
    return end;
  }

  #markOf(position: number): SeenMark | undefined {
    return position < this.#historyEnd ? undefined : this.#marks[this.#indexOf(position)];
  }

  /** Index of the first mark beyond `position`, or the number of marks. */
  #indexOf(position: number): number {
    let index = this.#marks.length;
    while (index > 0 && (this.#marks[index - 1] as SeenMark).end > position) index -= 1;
    return index;
  }
}
