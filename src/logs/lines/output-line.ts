import type { OutputLine } from "../../contract/procman.js";
import type { Stream } from "../../contract/job.js";
import type { SplitLine } from "./line-splitter.js";
import { parseProgress } from "../progress/parse-progress.js";

/** A line of a stream, with the progress that it tells of. */
export function outputLine(stream: Stream, split: SplitLine, seenTime?: Date): OutputLine {
  const { text, offset, nextOffset, terminator } = split;
  const line: { -readonly [Field in keyof OutputLine]: OutputLine[Field] } = {
    stream,
    text,
    offset,
    nextOffset,
    terminator,
  };
  const progress = parseProgress(text);
  if (progress !== undefined) line.progress = progress;
  if (seenTime !== undefined) line.seenTime = seenTime;
  return line;
}
