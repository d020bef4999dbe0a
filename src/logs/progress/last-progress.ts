import type { JobDir } from "../../core/job-dir.js";
import { type Progress, STREAMS } from "../../contract/job.js";
import { LineSplitter } from "../lines/line-splitter.js";
import { BOTH_WHOLE, LogFile, type LogStart, statLog } from "../reading/log-file.js";
import { parseProgress } from "./parse-progress.js";

/** How much of the end of a log is read. */
const MAX_TAIL_BYTES = 8 * 1024;

/**
 * Returns the last progress that a job's logs tell of: that of the log which was
 * modified last, else that of the other one. Only their ends are read.
 */
export async function lastProgress(
  dir: JobDir,
  starts = BOTH_WHOLE,
): Promise<Progress | undefined> {
  const logs = STREAMS.map((stream) => {
    const path = dir.log(stream);
    return { path, start: starts[stream], ...statLog(path, starts[stream]) };
  });
  for (const { path, start, size } of logs.sort((a, b) => b.modifiedMs - a.modifiedMs)) {
    if (size === 0) continue;
    const progress = lastOf(await linesAtEnd(path, start, size));
    if (progress !== undefined) return progress;
  }
  return undefined;
}

function lastOf(lines: readonly string[]): Progress | undefined {
  for (const line of lines.toReversed()) {
    const progress = parseProgress(line);
    if (progress !== undefined) return progress;
  }
  return undefined;
}

async function linesAtEnd(path: string, start: LogStart, size: number): Promise<string[]> {
  const file = new LogFile(path, start);
  try {
    const { place } = start;
    const from = Math.max(place?.base ?? 0, size - MAX_TAIL_BYTES);
    const { offset, data } = await file.readKept(from, size - from);
    const lines = split(data);
    // The first line most likely lacks its beginning, and may say "5%" for 45%.
    return offset === (place?.base ?? 0) ? lines : lines.slice(1);
  } finally {
    file.close();
  }
}

function split(bytes: Buffer): string[] {
  const splitter = new LineSplitter(0);
  splitter.push(bytes);
  splitter.end();
  const lines = [];
  for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
    lines.push(line.text);
  }
  return lines;
}
