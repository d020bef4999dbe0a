import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { STREAMS } from "../contract/job.js";
import { fromSystemError } from "../contract/errors.js";
import { thinnedSpans } from "../core/output-spans.js";
import type { OutputSpan, OutputTimesStore } from "../core/ports.js";
import { replaceFile } from "../platform/durable-file.js";
import { hasCode } from "../platform/errno.js";
import { readSmallBytes } from "../platform/small-file.js";

const RECORD_BYTES = 32;
const CHECKED_BYTES = 28;
/** Says what the rest of a record is. */
const MAGIC = 0x74;
/** What 48 bits hold: more than any log, and the year 10889. */
const MAX_VALUE = 2 ** 48 - 1;

/** Beyond so many records, they are thinned out to half. */
const MAX_RECORDS = 2048;
const MAX_FILE_BYTES = 4 * MAX_RECORDS * RECORD_BYTES;

const APPEND =
  constants.O_RDWR |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK;

/**
 * Stores when a job's output was written, in a file of records of one size: two parts of
 * a record that were torn apart by a crash or a full disk are found by its length, and
 * what is damaged by its checksum. Each record says all about its bytes by itself, so that
 * one that is missing makes the times of others no worse.
 *
 * Not synced, and written in this thread: nothing is promised of it.
 */
export const outputTimesFiles: OutputTimesStore = {
  read({ outputTimes: path }) {
    try {
      return parseRecords(readSmallBytes(path, MAX_FILE_BYTES));
    } catch (error) {
      // A job that has been written by none, or by an earlier version, has none.
      if (hasCode(error, "ENOENT")) return [];
      // Longer than anybody of ours has made it.
      if (hasCode(error, "EFBIG") || hasCode(error, "EFTYPE")) return [];
      throw fromSystemError(error, `read ${path}`);
    }
  },

  append({ outputTimes: path }, spans) {
    try {
      const size = appendTo(path, Buffer.concat(spans.map(formatRecord)));
      if (size <= MAX_RECORDS * RECORD_BYTES) return;
      const kept = size > MAX_FILE_BYTES ? [] : parseRecords(readSmallBytes(path, MAX_FILE_BYTES));
      replaceFile(path, Buffer.concat(thinnedSpans(kept, MAX_RECORDS).map(formatRecord)));
    } catch (error) {
      throw fromSystemError(error, `write ${path}`);
    }
  },
};

/** Appends behind the last whole record. @returns the file's size then */
function appendTo(path: string, records: Buffer): number {
  const fd = openSync(path, APPEND, 0o600);
  try {
    const { size } = fstatSync(fd);
    const whole = size - (size % RECORD_BYTES);
    if (whole < size) ftruncateSync(fd, whole);
    const written = writeSync(fd, records);
    if (written < records.length) {
      ftruncateSync(fd, whole);
      throw Object.assign(new Error("ENOSPC: no room for all of it"), { code: "ENOSPC" });
    }
    return whole + written;
  } finally {
    closeSync(fd);
  }
}

function formatRecord({ stream, begin, end, fromMs, toMs }: OutputSpan): Buffer {
  const record = Buffer.alloc(RECORD_BYTES);
  record[0] = MAGIC;
  record[1] = STREAMS.indexOf(stream);
  for (const [index, value] of [begin, end, fromMs, toMs].entries()) {
    const fitting = Math.min(Math.max(Math.floor(value), 0), MAX_VALUE);
    record.writeUIntBE(fitting, 4 + 6 * index, 6);
  }
  record.writeUInt32BE(checksum(record), CHECKED_BYTES);
  return record;
}

function parseRecords(bytes: Buffer): OutputSpan[] {
  const spans: OutputSpan[] = [];
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    const record = bytes.subarray(at, at + RECORD_BYTES);
    const stream = STREAMS[record[1] as number];
    if (record[0] !== MAGIC || stream === undefined) continue;
    if (record.readUInt32BE(CHECKED_BYTES) !== checksum(record)) continue;
    const [begin, end, fromMs, toMs] = [0, 1, 2, 3].map((index) =>
      record.readUIntBE(4 + 6 * index, 6),
    ) as [number, number, number, number];
    if (begin <= end) spans.push({ stream, begin, end, fromMs, toMs });
  }
  return spans;
}

/** FNV-1a, with 32 bits. */
function checksum(record: Buffer): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < CHECKED_BYTES; index += 1) {
    hash = Math.imul(hash ^ (record[index] as number), 0x01000193);
  }
  return hash >>> 0;
}
