import type { Stream } from "../../contract/job.js";

/**
 * Where a log begins. It moves on while a limit is kept, and always before what
 * lies in front of it is taken away: whoever has read bytes and then finds that
 * it has not passed them has read what was written.
 */
export interface LogStart {
  readonly firstOffset: number;
}

export type LogStarts = Readonly<Record<Stream, LogStart>>;

/** Of a log that is kept whole. */
export const WHOLE: LogStart = { firstOffset: 0 };

export const BOTH_WHOLE: LogStarts = { stdout: WHOLE, stderr: WHOLE };
