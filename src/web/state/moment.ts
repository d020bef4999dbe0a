import parseDuration from "parse-duration";
import type { WrittenBetween } from "../../contract/procman.js";

/** "10m", "1h 30m ago". */
const AGO = /^(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+$/i;
/** "14:30", "yesterday 14:30:05", "11-28 14:30", "2026-11-28". */
const LOCAL =
  /^(?:(today|yesterday|(?:(\d{4})-)?(\d\d?)-(\d\d?))(?:[t\s]+|$))?(?:(\d\d?):(\d\d)(?::(\d\d))?)?$/i;
/** With a zone it is the same moment everywhere. */
const ZONED = /^\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:\d\d)$/i;

/**
 * Returns the time that a text means: how long ago, or a time of day or a date, of which the
 * latest that is past counts. Undefined where it means none.
 */
export function parseMoment(text: string, now: Date): Date | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const ago = trimmed.replace(/\s*\bago$/i, "");
  if (ago.toLowerCase() === "now") return now;
  if (AGO.test(ago)) {
    const ms = parseDuration(ago);
    return ms === null ? undefined : valid(new Date(now.getTime() - ms));
  }
  if (ZONED.test(trimmed)) return valid(new Date(trimmed.replace(" ", "T")));
  return valid(parseLocal(trimmed, now));
}

function parseLocal(text: string, now: Date): Date | undefined {
  const match = LOCAL.exec(text);
  if (!match) return undefined;
  const [, day, year, month, date, hours = "0", minutes = "0", seconds = "0"] = match;
  const clock = [Number(hours), Number(minutes), Number(seconds)] as const;
  if (clock[0] > 23 || clock[1] > 59 || clock[2] > 59) return undefined;
  const at = (y: number, m: number, d: number) => new Date(y, m, d, ...clock);
  const today = [now.getFullYear(), now.getMonth(), now.getDate()] as const;
  if (month !== undefined && date !== undefined) {
    const [m, d] = [Number(month) - 1, Number(date)];
    const found = at(Number(year ?? today[0]), m, d);
    // February 30 would be in March.
    if (found.getMonth() !== m || found.getDate() !== d) return undefined;
    return year === undefined && found > now ? at(today[0] - 1, m, d) : found;
  }
  const [y, m, d] = today;
  if (day?.toLowerCase() === "yesterday") return at(y, m, d - 1);
  const found = at(y, m, d);
  return day === undefined && found > now ? at(y, m, d - 1) : found;
}

function valid(time: Date | undefined): Date | undefined {
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time;
}

/** A range that is no longer than this is told by its end alone. */
const MAX_SHORT_MS = 2500;
/** Of a longer one, seconds do not matter. */
const MAX_SECONDS_MS = 600_000;

/** Returns when output was written, to be read at a glance: one time, or the first and the last. */
export function writtenText({ from, to }: WrittenBetween, now: Date): string {
  const lengthMs = to.getTime() - from.getTime();
  const hasSeconds = lengthMs <= MAX_SECONDS_MS;
  if (lengthMs <= MAX_SHORT_MS) return `${dayText(to, now)}${clockText(to, true)}`;
  const first = `${dayText(from, now)}${clockText(from, hasSeconds)}`;
  const day = isSameDay(from, to) ? "" : dayText(to, now) || `${dateText(to)} `;
  return `${first}–${day}${clockText(to, hasSeconds)}`;
}

/** Says the same in a sentence, and why it is not known better. */
export function writtenWords({ from, to, unobserved }: WrittenBetween): string {
  const lengthMs = to.getTime() - from.getTime();
  const last = `${yearText(to)} ${clockText(to, true)}`;
  if (lengthMs <= MAX_SHORT_MS) return `written ${last}`;
  const words = `written between ${yearText(from)} ${clockText(from, true)} and ${last}`;
  return unobserved ? `${words}: nobody looked meanwhile` : words;
}

export function isSameRange(one: WrittenBetween | undefined, other: WrittenBetween | undefined) {
  return one?.from.getTime() === other?.from.getTime() && one?.to.getTime() === other?.to.getTime();
}

/** Returns a time in full, as `parseMoment` takes it too. */
export function momentText(time: Date): string {
  return `${yearText(time)} ${clockText(time, true)}`;
}

/** "" for today. */
function dayText(time: Date, now: Date): string {
  return isSameDay(time, now) ? "" : `${dateText(time)} `;
}

function isSameDay(one: Date, other: Date): boolean {
  return one.toDateString() === other.toDateString();
}

function dateText(time: Date): string {
  return `${twoDigits(time.getMonth() + 1)}-${twoDigits(time.getDate())}`;
}

function yearText(time: Date): string {
  return `${time.getFullYear()}-${dateText(time)}`;
}

function clockText(time: Date, hasSeconds: boolean): string {
  const parts = [time.getHours(), time.getMinutes(), ...(hasSeconds ? [time.getSeconds()] : [])];
  return parts.map(twoDigits).join(":");
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
