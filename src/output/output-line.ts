import type { OutputLine } from "../core/api.js";
import type { Stream } from "../core/job.js";
import type { SplitLine } from "./line-splitter.js";
import { parseProgress } from "./parse-progress.js";

/** A line of a stream, with the progress that it tells of. */
export function outputLine(stream: Stream, line: SplitLine): OutputLine {
  const { text, offset, nextOffset, terminator } = line;
  const progress = parseProgress(text);
  return progress === undefined
    ? { stream, text, offset, nextOffset, terminator }
    : { stream, text, offset, nextOffset, terminator, progress };
}
