import { InvalidArgumentError } from "commander";
import parseDuration from "parse-duration";

/** Numbers with units, and nothing else: "1h30m", "1.5 s". parse-duration skips what it does not know. */
const DURATION = /^(?:\d+(?:\.\d+)?\s*(?:ms|s|sec|m|min|h|d|w)\s*)+$/;

/** Milliseconds, whole ones. @throws InvalidArgumentError, to which commander adds the option's name */
export function parseDurationMs(text: string): number {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  if (!DURATION.test(trimmed)) {
    throw new InvalidArgumentError(
      'Give a number and a unit (ms, s, m, h, d, w), such as "1h30m".',
    );
  }
  const ms = parseDuration(trimmed) ?? 0;
  if (ms > Number.MAX_SAFE_INTEGER) throw new InvalidArgumentError("That is too long.");
  return Math.ceil(ms);
}

/** @throws InvalidArgumentError also for 0 */
export function parsePositiveDurationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === 0) throw new InvalidArgumentError("It must be longer than 0.");
  return ms;
}
