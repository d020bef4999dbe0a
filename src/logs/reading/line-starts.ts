import { STREAMS } from "../../contract/job.js";
import type { JobDir } from "../../core/job-dir.js";
import type { OutputPositions } from "../../core/ports.js";
import { BOTH_WHOLE, LogFile } from "./log-file.js";
import { tailStart } from "./tail-start.js";

const LF = 0x0a;

/**
 * Moves positions within lines back to where those lines begin, as far as that is known:
 * in a line of more than 64 KiB, at most so far.
 */
export async function lineStarts(
  dir: JobDir,
  positions: OutputPositions,
  starts = BOTH_WHOLE,
): Promise<OutputPositions> {
  const moved: OutputPositions = {};
  for (const stream of STREAMS) {
    const position = positions[stream];
    if (position === undefined) continue;
    const start = starts[stream];
    const floor = Math.min(position, start.firstOffset);
    const file = new LogFile(dir.log(stream), start);
    try {
      moved[stream] = (await isAfterLine(file, position, floor))
        ? position
        : await tailStart(file, { size: position, lines: 1, floor });
    } finally {
      file.close();
    }
  }
  return moved;
}

/** Whether no line is known that a position is in. A "\r" before it may be the half of a "\r\n". */
async function isAfterLine(file: LogFile, position: number, floor: number): Promise<boolean> {
  if (position <= floor) return true;
  const before = await file.read(position - 1, 1);
  return before.length === 0 || before[0] === LF;
}
