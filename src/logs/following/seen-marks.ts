/** That a log's bytes up to `end` had been seen at that time. */
interface SeenMark {
  readonly end: number;
  /** By a clock that never jumps; orders the marks of all logs. */
  readonly orderMs: number;
  readonly time: Date;
}

/** Of bytes that were there before they could be seen to come: before everything seen. */
export const HISTORY = Number.NEGATIVE_INFINITY;

/** So many looks are told apart; of more, the older ones are told apart less and less finely. */
const MAX_MARKS = 512;

/**
 * When each byte of a growing log was seen first: one mark for each look that
 * found it grown. Most questions are about the last mark, so they are looked up
 * from there.
 */
export class SeenMarks {
  readonly #historyEnd: number;
  #marks: SeenMark[] = [];

  constructor(historyEnd: number) {
    this.#historyEnd = historyEnd;
  }

  /** The log was found to end here. */
  add(end: number): void {
    const last = this.#marks.at(-1)?.end ?? this.#historyEnd;
    // A log that was cut short by somebody: it is not known which bytes are new.
    if (end <= last) return;
    this.#marks.push({ end, orderMs: performance.now(), time: new Date() });
    // Every second one goes; its bytes count as seen by the next one, which is still true.
    if (this.#marks.length > MAX_MARKS) this.#marks = this.#marks.filter((_, i) => i % 2 === 0);
  }

  /** What orders the byte at `position` among those of all logs. */
  orderOf(position: number): number {
    return this.#markOf(position)?.orderMs ?? HISTORY;
  }

  /** When the byte at `position` was seen; undefined for history. */
  timeOf(position: number): Date | undefined {
    return this.#markOf(position)?.time;
  }

  /**
   * Up to where the bytes from `position` on were seen before `orderMs`: at
   * least the end of those seen together with the first. History ends by itself.
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

  /** Of the first mark beyond `position`; the number of marks where there is none. */
  #indexOf(position: number): number {
    let index = this.#marks.length;
    while (index > 0 && (this.#marks[index - 1] as SeenMark).end > position) index -= 1;
    return index;
  }
}
