import parseDuration from "parse-duration";

/** A number as it is printed, without a sign: "45", "4.5". A capturing group. */
export const NUMBER = String.raw`(\d{1,15}(?:\.\d{1,9})?)`;

/** A whole number, perhaps with its thousands separated: "1,234". A capturing group. */
export const COUNT = String.raw`(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})`;

/** A unit of bytes: "B", "kB", "MiB", "mb", "bytes". A capturing group. */
export const BYTE_UNIT = String.raw`((?:[kKMGTPE]i?)?B|[kmgtpe]i?b|[Bb]ytes)`;

/** Where a number may begin: not within a word, a date, a path, a version or a range. */
export const NUMBER_BEGINS = String.raw`(?<![\w.,:/%+\\-])`;

/** "00:12", "1:02:03". A capturing group. */
export const CLOCK = String.raw`(\d{1,4}(?::\d{2}){1,2})`;

const POWERS = "kmgtpe";

export function parseCount(count: string): number {
  return Number(count.replaceAll(",", ""));
}

/** `number` times what "k", "Mi" or "GiB" stand for, whole; as it is for "B" or nothing. */
export function scaled(number: string | number, multiple: string): number {
  const power = POWERS.indexOf(multiple.charAt(0).toLowerCase() || " ") + 1;
  const base = multiple.charAt(1).toLowerCase() === "i" ? 1024 : 1000;
  return power === 0 ? Number(number) : Math.round(Number(number) * base ** power);
}

/** A whole number of bytes, as in parseBytes("12.3", "MiB"). */
export function parseBytes(number: string, unit: string): number {
  return Math.round(scaled(number, /^bytes$/i.test(unit) ? "" : unit));
}

/** "1:02:03" in milliseconds. */
export function parseClockMs(clock: string): number {
  return clock.split(":").reduce((seconds, part) => seconds * 60 + Number(part), 0) * 1000;
}

const BYTE_RATE = new RegExp(String.raw`${NUMBER_BEGINS}${NUMBER} ?${BYTE_UNIT}/s(?:ec)?\b`);

/** Bytes a second, from a "1.2 MB/s" in the line. */
export function findByteRate(line: string): number | undefined {
  const match = line.includes("/s") ? BYTE_RATE.exec(line) : null;
  return match === null ? undefined : parseBytes(match[1] ?? "", match[2] ?? "");
}

const ETA = new RegExp(
  String.raw`\b(?:eta|time left|remaining)\b[ :=]{0,4}(?:${CLOCK}|(\d{1,9}(?:\.\d{1,3})? ?[hms][a-z]{0,6}(?: ?\d{1,4} ?[hms][a-z]{0,6}){0,2}))(?![\w:])`,
  "i",
);

/** Time left, from an "ETA 0:12" or "eta 1m 20s" in the line. */
export function findEtaMs(line: string): number | undefined {
  const match = ETA.exec(line);
  if (match === null) return undefined;
  if (match[1] !== undefined) return parseClockMs(match[1]);
  return parseDuration(match[2] ?? "") ?? undefined;
}
