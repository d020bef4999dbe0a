import { stripVTControlCharacters } from "node:util";
import type { Progress } from "../../contract/job.js";
import { barProgress, byteProgress, countProgress } from "./count-progress.js";
import { defined } from "../../platform/defined.js";
import { jsonProgress } from "./json-progress.js";
import { percentProgress } from "./percent-progress.js";
import type { Found, Recogniser } from "./recogniser.js";
import { curlProgress, gitProgress, looksLikeCurl, tqdmProgress } from "./tool-progress.js";

/** The first one to find something decides, so the most specific come first. */
const RECOGNISERS: readonly Recogniser[] = [
  jsonProgress,
  tqdmProgress,
  gitProgress,
  curlProgress,
  byteProgress,
  barProgress,
  countProgress,
  percentProgress,
];

/** How much of a line counts. */
const MAX_LINE_CHARS = 4 * 1024;

const MAX_TEXT_BYTES = 256;

const URLS = /\b[a-z][a-z0-9+.-]{1,15}:\/\/\S*/gi;

/**
 * Returns what a line of output tells of its command's progress. A line that could
 * as well mean something else (a date, a version, a count of tests) tells nothing.
 * It takes time linear in the line's length, of which the first 4 KiB count.
 */
export function parseProgress(line: string): Progress | undefined {
  if (!mayTell(line)) return undefined;
  const head = line.length > MAX_LINE_CHARS ? line.slice(0, MAX_LINE_CHARS) : line;
  const text = stripVTControlCharacters(head);
  const prose = text.includes("://") ? text.replace(URLS, " ") : text;
  for (const recognise of RECOGNISERS) {
    const found = recognise(prose);
    if (found !== undefined) return progressOf(found, text);
  }
  return undefined;
}

/**
 * Matches what every recogniser needs: a percentage, two numbers with a slash or
 * "of" between them that are no date, a rate, or JSON. Most lines of most programs
 * have none of it, and are spared the rest. Only curl's meter is recognised by its shape.
 */
const TELLING =
  /\d ?%|[\dBbs] {0,2}(?<!\/\d{1,2})\/ {0,2}\d{1,15}(?![\d/])|\/(?:s|it)\b|[\dBs] of {1,4}\d|"progress"/;

function mayTell(line: string): boolean {
  const isWorthALook =
    line.includes("/") ||
    line.includes("%") ||
    line.includes(" of ") ||
    line.includes('"progress"') ||
    looksLikeCurl(line);
  // Escape sequences may still stand in the middle of any of it.
  return isWorthALook && (line.includes("\x1b") || TELLING.test(line) || looksLikeCurl(line));
}

function progressOf(found: Found, text: string): Progress {
  const { current } = found;
  // A total of nothing, as in git's "100% (0/0)", says no more than the percentage.
  const total = found.total || undefined;
  const byCounts = current !== undefined && total ? (current * 100) / total : undefined;
  const percent = found.percent ?? byCounts;
  return { ...defined({ ...found, total, percent }), text: firstBytes(text) };
}

function firstBytes(text: string): string {
  // No UTF-16 unit takes more than three bytes.
  if (text.length * 3 <= MAX_TEXT_BYTES) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_TEXT_BYTES));
  return text.slice(0, read);
}
