import { stripVTControlCharacters } from "node:util";
import type { Progress } from "../../contract/job.js";
import { barProgress } from "./bar-progress.js";
import { byteProgress } from "./byte-progress.js";
import { countProgress } from "./count-progress.js";
import { gitProgress } from "./git-progress.js";
import { jsonProgress } from "./json-progress.js";
import { percentProgress } from "./percent-progress.js";
import type { Found, Recogniser } from "./recogniser.js";
import { tqdmProgress } from "./tool-progress.js";

/** The most specific first: the first to find something decides. */
const RECOGNISERS: readonly Recogniser[] = [
  jsonProgress,
  tqdmProgress,
  gitProgress,
  byteProgress,
  barProgress,
  countProgress,
  percentProgress,
];

/** Only so much of a line is looked at. */
const MAX_LINE_CHARS = 4 * 1024;

const MAX_TEXT_BYTES = 256;

const URLS = /\b[a-z][a-z0-9+.-]{1,15}:\/\/\S*/gi;

/**
 * What a line of output tells of its command's progress. A line that could as
 * well mean something else (a date, a version, a count of tests) tells nothing.
 * Takes time linear in the line's length, of which at most 4 KiB count.
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
 * What every recogniser needs: a percentage, "of" with a number before it and
 * behind it that are not of a date, a rate, or JSON. It spares most lines of most
 * programs the rest.
 */
const TELLING =
  /\d ?%|[\dBbs] {0,2}(?<!\/\d{1,2})\/ {0,2}\d{1,15}(?![\d/])|\/(?:s|it)\b|B of \d|"progress"/;

function mayTell(line: string): boolean {
  const isWorthALook =
    line.includes("/") ||
    line.includes("%") ||
    line.includes("B of ") ||
    line.includes('"progress"');
  // Escape sequences may still stand in the middle of any of it.
  return isWorthALook && (line.includes("\x1b") || TELLING.test(line));
}

function progressOf({ percent, current, total, unit, rate, etaMs }: Found, text: string): Progress {
  const progress: { -readonly [field in keyof Progress]: Progress[field] } = {
    unit,
    text: firstBytes(text),
  };
  if (percent !== undefined) progress.percent = percent;
  else if (current !== undefined && total) progress.percent = (current * 100) / total;
  if (current !== undefined) progress.current = current;
  if (total !== undefined) progress.total = total;
  if (rate !== undefined) progress.rate = rate;
  if (etaMs !== undefined) progress.etaMs = etaMs;
  return progress;
}

function firstBytes(text: string): string {
  // No UTF-16 unit takes more than three bytes.
  if (text.length * 3 <= MAX_TEXT_BYTES) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_TEXT_BYTES));
  return text.slice(0, read);
}
