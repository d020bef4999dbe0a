import { CLOCK, NUMBER, parseClockMs, scaled } from "./quantity.js";
import type { Found, Recogniser } from "./recogniser.js";

const COUNTED =
  /(?:^|[ :])[A-Z][a-z]{1,20}((?: [a-z]{1,20}){0,3}): {1,8}(\d{1,3})% \((\d{1,15})\/(\d{1,15})\)/;

/**
 * Git's form, which others print too: `Receiving objects:  45% (450/1000), 1.2 MiB | 3.4 MiB/s`.
 * Its rate is one of bytes while it counts objects, so it is left out.
 */
export const gitProgress: Recogniser = (line) => {
  const match = line.includes("% (") ? COUNTED.exec(line) : null;
  if (match === null) return undefined;
  const [, words = "", percent, current, total] = match;
  if (Number(current) > Number(total) || Number(percent) > 100) return undefined;
  return {
    percent: Number(percent),
    current: Number(current),
    total: Number(total),
    unit: words.split(" ").at(-1) ?? "",
  };
};

const AMOUNT = String.raw`${NUMBER}([kMGTPE])?`;
const RATE = String.raw`(?:\?|${NUMBER}) ?([^\s/,\]\d]{1,24})/([^\s,\]]{1,24})`;

const WITH_TOTAL = new RegExp(
  String.raw`(\d{1,3})%\|[^|]{0,400}\| {0,8}${AMOUNT}/${AMOUNT} \[${CLOCK}<(?:${CLOCK}|\?), {0,8}${RATE}`,
);

const WITHOUT_TOTAL = new RegExp(
  String.raw`(?<![\w.])${AMOUNT} ?[A-Za-z]{1,24} \[${CLOCK}, {0,8}${RATE}`,
);

/**
 * The bars of Python's tqdm: ` 45%|####  | 45/100 [00:10<00:12,  4.5it/s]`, and
 * `45it [00:10,  4.5it/s]` where the total is not known.
 */
export const tqdmProgress: Recogniser = (line) => {
  if (!line.includes("[")) return undefined;
  return withTotal(line) ?? withoutTotal(line);
};

function withTotal(line: string): Found | undefined {
  const match = WITH_TOTAL.exec(line);
  if (match === null) return undefined;
  const [, percent, current, currentScale, total, totalScale, , left, speed, a, b] = match;
  const isScaled = currentScale !== undefined || totalScale !== undefined;
  return {
    percent: Math.min(100, Number(percent)),
    current: scaled(current ?? "", currentScale ?? ""),
    total: scaled(total ?? "", totalScale ?? ""),
    ...unitAndRate(speed, a, b, isScaled),
    etaMs: left === undefined ? undefined : parseClockMs(left),
  };
}

function withoutTotal(line: string): Found | undefined {
  const match = WITHOUT_TOTAL.exec(line);
  if (match === null) return undefined;
  const [, current, scale, , speed, a, b] = match;
  return {
    current: scaled(current ?? "", scale ?? ""),
    ...unitAndRate(speed, a, b, scale !== undefined),
  };
}

/** "4.5" "it" "s" is 4.5 a second; "1.5" "s" "it" is 1.5 seconds each. */
function unitAndRate(
  speed: string | undefined,
  over = "",
  under = "",
  isScaled = false,
): Pick<Found, "unit" | "rate"> {
  if (over === "s") {
    const seconds = Number(speed ?? 0);
    return { unit: under, rate: seconds > 0 ? 1 / seconds : undefined };
  }
  const { scale, unit } = splitUnit(over, isScaled);
  return { unit, rate: speed === undefined ? undefined : scaled(speed, scale) };
}

/** "MB" is 1e6 of "B"; but the k of "keys" is none, unless the counts are scaled too. */
function splitUnit(printed: string, isScaled: boolean): { scale: string; unit: string } {
  const match = /^([kMGTPE]?i?)(B)$/.exec(printed) ?? /^([kMGTPE]?)(it)$/.exec(printed);
  const parts = match ?? (isScaled ? /^([kMGTPE]?)(.+)$/.exec(printed) : null);
  return parts === null
    ? { scale: "", unit: printed }
    : { scale: parts[1] ?? "", unit: parts[2] ?? "" };
}

const CURL_SIZE = String.raw`(\d{1,5}(?:\.\d)?)([kMGTP])?`;
const CURL_TIME = String.raw`(?:--:--:--|\d{1,3}:\d\d:\d\d|\d{1,3}d \d\dh|\d{1,7}d)`;
const CURL_LEFT = String.raw`(?:--:--:--|(\d{1,3}:\d\d:\d\d)|\d{1,3}d \d\dh|\d{1,7}d)`;

/** How each line of curl's meter begins: a percentage and a size, in columns. */
const CURL_BEGINS = /^[ \d]{2}\d [ \d.]{4}[\dkMGTP] /;

const CURL = new RegExp(
  String.raw`^ {0,2}(\d{1,3}) {1,5}${CURL_SIZE} {1,5}\d{1,3} {1,5}${CURL_SIZE} {1,5}\d{1,3} {1,5}${CURL_SIZE}` +
    String.raw` {1,7}${CURL_SIZE} {1,7}${CURL_SIZE} {1,3}${CURL_TIME} {1,3}${CURL_TIME} {1,3}${CURL_LEFT} {1,6}${CURL_SIZE} *$`,
);

/** Whether a line begins as those of curl's meter, which has no other mark. */
export function looksLikeCurl(line: string): boolean {
  return CURL_BEGINS.test(line);
}

/**
 * The default meter of curl: ` 45 11.4M   45 5273k    0     0  3062k      0  0:00:03  0:00:01
 * 0:00:02 3062k`, in columns whose titles it prints once. The first one is the share of
 * all that is sent and received.
 */
export const curlProgress: Recogniser = (line) => {
  const match = looksLikeCurl(line) ? CURL.exec(line) : null;
  if (match === null) return undefined;
  const [, percent, ...rest] = match;
  const [total = 0, received = 0, sent = 0] = [0, 2, 4].map((at) => curlBytes(rest, at));
  const left = rest[10];
  const current = received + sent;
  if (total === 0 && current === 0) return undefined;
  const known = total === 0 ? {} : { percent: Math.min(100, Number(percent)), total };
  return {
    ...known,
    current: total === 0 ? current : Math.min(current, total),
    unit: "B",
    rate: curlBytes(rest, 11),
    etaMs: left === undefined ? undefined : parseClockMs(left),
  };
};

/** The size at these two groups. curl's "k" is 1024. */
function curlBytes(groups: readonly (string | undefined)[], at: number): number {
  const multiple = groups[at + 1];
  return Math.round(scaled(groups[at] ?? "0", multiple === undefined ? "" : `${multiple}i`));
}
