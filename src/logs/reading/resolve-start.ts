import type { JobDir } from "../../core/job-dir.js";
import type { OutputStart } from "../../contract/procman.js";
import { invalidArgument } from "../../contract/errors.js";
import { STREAMS, type Stream } from "../../contract/job.js";
import type { OutputBounds, OutputPositions } from "../../core/ports.js";
import { checkOffsets } from "./check-offsets.js";
import { BOTH_WHOLE, LogFile } from "./log-file.js";
import { tailStart } from "./tail-start.js";

/**
 * Returns where in a job's logs to begin. Of each stream asked for, that is the
 * latest of the offset asked for, where the log begins, where the bounds begin, and where
 * the last lines asked for begin before the bounds' end.
 * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE
 */
export async function resolveStart(
  dir: JobDir,
  start: OutputStart,
  starts = BOTH_WHOLE,
  { begin = {}, end = {} }: OutputBounds = {},
): Promise<OutputPositions> {
  checkCount("tail_lines", start.tailLines);
  const logs = streamsOf(start).map((stream) => ({
    stream,
    offset: offsetOf(start, stream),
    file: new LogFile(dir.log(stream), starts[stream]),
  }));
  try {
    const sized = await Promise.all(
      logs.map(async (log) => ({ ...log, size: await log.file.size() })),
    );
    // Of a log that was deleted it is not known how long it was.
    checkOffsets(...sized.filter(({ stream }) => !starts[stream].place?.isMissing));

    const lines = start.tailLines;
    const positions: OutputPositions = {};
    for (const { stream, offset, file, size: whole } of sized) {
      const size = Math.min(whole, end[stream] ?? whole);
      const wanted = Math.max(offset, begin[stream] ?? 0);
      const floor = Math.max(Math.min(wanted, whole), starts[stream].firstOffset);
      const tail = lines === undefined ? floor : await tailStart(file, { size, lines, floor });
      // The log's start may have moved on meanwhile, so that a hole was read.
      positions[stream] = Math.max(tail, starts[stream].firstOffset);
    }
    return positions;
  } finally {
    for (const { file } of logs) file.close();
  }
}

function streamsOf(start: OutputStart): readonly Stream[] {
  const asked = start.streams ?? [];
  return asked.length === 0 ? STREAMS : STREAMS.filter((stream) => asked.includes(stream));
}

function offsetOf(start: OutputStart, stream: Stream): number {
  const offset = stream === "stdout" ? start.stdoutOffset : start.stderrOffset;
  checkCount(`${stream}_offset`, offset);
  return offset ?? 0;
}

function checkCount(field: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw invalidArgument(field, `${value} is not a whole number from 0 on`);
}
