import { closeSync, openSync, readSync } from "node:fs";
import { READ_ONLY } from "../platform/small-file.js";

const READ_BYTES = 64 * 1024;

/** Returns a line that has the values as JSON, with a checksum and without its newline. */
export function formatCheckedLine(values: readonly unknown[]): string {
  const json = JSON.stringify(values);
  return `${checksum(json)} ${json}`;
}

/** Returns the values of a line, or undefined for what is not a whole one. */
export function parseCheckedLine(line: string): readonly unknown[] | undefined {
  const space = line.indexOf(" ");
  const json = line.slice(space + 1);
  if (line.slice(0, space) !== checksum(json)) return undefined;
  return JSON.parse(json) as readonly unknown[];
}

/** FNV-1a: enough to tell a whole line from one that a crash has left in part. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(36);
}

/** Yields the lines of a file, some at a time. What follows the last newline counts as one. */
export function* readLines(path: string): Generator<string[], void, undefined> {
  const fd = openSync(path, READ_ONLY);
  try {
    let rest = Buffer.alloc(0);
    for (;;) {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const read = readSync(fd, chunk);
      const bytes = Buffer.concat([rest, chunk.subarray(0, read)]);
      const end = read === 0 ? bytes.length : bytes.lastIndexOf("\n");
      rest = bytes.subarray(end + 1);
      if (end !== -1) yield bytes.toString("utf8", 0, end).split("\n");
      if (read === 0) return;
    }
  } finally {
    closeSync(fd);
  }
}
