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
