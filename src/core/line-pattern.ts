import { RE2JS } from "re2js";
import { invalidArgument, type ProcmanError } from "../contract/errors.js";
import type { WatchOptions } from "../contract/procman.js";

const MAX_PATTERN_BYTES = 1024;

/*
 * RE2 takes time in proportion to the line's length times the pattern's size, and
 * nothing can interrupt it. With the product bounded, a pattern and a line made to be
 * slow take tens of milliseconds. Ordinary ones take microseconds.
 */
const MAX_INSTRUCTIONS = 500;
/** What is looked at of a line, in UTF-16 code units, for the largest pattern. */
const MIN_CODE_UNITS = 2048;
const MAX_STEPS = MAX_INSTRUCTIONS * MIN_CODE_UNITS;

const TOO_LARGE = `is too large: it compiles to more than ${MAX_INSTRUCTIONS} instructions (are its repetitions long?)`;

/** Compiling takes time in proportion to this; without a bound, seconds. */
const MAX_EXPANDED_SIZE = 2000;

/** A pattern in RE2's syntax to search lines for. */
export class LinePattern {
  readonly #compiled: RE2JS;
  /** Whether a match may depend on what comes after it. */
  readonly #looksAhead: boolean;
  /** So much of a line is looked at. */
  readonly #maxCodeUnits: number;

  /**
   * @param field what the pattern is in a request, for errors
   * @throws ProcmanError INVALID_ARGUMENT with RE2's complaint
   */
  constructor(pattern: string, field = "output.pattern") {
    const invalid = (description: string, cause?: unknown) =>
      invalidArgument(field, description, cause);
    if (pattern === "") throw invalid("must not be empty");
    if (Buffer.byteLength(pattern) > MAX_PATTERN_BYTES) {
      throw invalid(`must not be longer than ${MAX_PATTERN_BYTES} bytes`);
    }
    if (!(expandedSize(pattern) <= MAX_EXPANDED_SIZE)) throw invalid(TOO_LARGE);
    this.#compiled = compiled(pattern, invalid);
    const size = this.#compiled.programSize();
    if (size > MAX_INSTRUCTIONS) throw invalid(TOO_LARGE);
    this.#maxCodeUnits = Math.floor(MAX_STEPS / size);
    const withoutOtherEscapes = pattern.replace(/\\[^zbB]/gsu, "");
    this.#looksAhead = /\$|\\[zbB]/.test(withoutOtherEscapes);
  }

  /** Whether the pattern matches anywhere in this line. */
  matches(line: string): boolean {
    if (line.length > this.#maxCodeUnits) return this.matchesBeginning(line);
    return this.#compiled.test(line);
  }

  /** Whether the pattern matches every line that begins with this text. */
  matchesBeginning(text: string): boolean {
    const head = headOf(text, this.#maxCodeUnits);
    if (!this.#compiled.test(head)) return false;
    if (!this.#looksAhead) return true;
    // "$" and "\b" depend on where the text ends only for a match that ends there.
    const first = this.#compiled.matcher(head);
    return first.find() && first.end() < head.length;
  }
}

/** Which lines are wanted. */
export interface LineFilter {
  readonly pattern: LinePattern;
  /** Those that the pattern is not found in. */
  readonly invert: boolean;
}

/**
 * Returns which lines a caller wants; undefined: all of them.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function requestedFilter({
  pattern = "",
  invert = false,
}: WatchOptions): LineFilter | undefined {
  if (pattern !== "") return { pattern: new LinePattern(pattern, "pattern"), invert };
  if (invert) throw invalidArgument("invert", "is only for a pattern");
  return undefined;
}

function compiled(
  pattern: string,
  invalid: (description: string, cause: unknown) => ProcmanError,
): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const complaint = error instanceof Error ? error.message : String(error);
    throw invalid(complaint.replace(/^error parsing regexp: /, ""), error);
  }
}

/**
 * Returns how many characters, classes and parentheses a pattern has once its counted
 * repetitions are expanded: 12 for "(ab{3}){2}". The compiled program has at most a
 * few times as many instructions.
 */
export function expandedSize(pattern: string): number {
  /** The sizes of the open groups, outermost first. */
  const sizes = [0];
  let last = 0;
  const add = (size: number): void => {
    sizes.push((sizes.pop() ?? 0) + size);
    last = size;
  };
  for (const [token, count] of pattern.matchAll(TOKEN)) {
    if (count !== undefined) add(last * (Math.max(1, ...count.split(",").map(Number)) - 1));
    else if (token === "(") sizes.push(1);
    else if (token !== ")") add(token.startsWith("\\Q") ? token.length : 1);
    else if (sizes.length > 1) add((sizes.pop() ?? 0) + 1);
  }
  return sizes.reduce((sum, size) => sum + size);
}

/** Matches a quotation, a class, an escape, a counted repetition, or one character. */
const TOKEN =
  /\\Q.*?(?:\\E|$)|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]|\\[xpP]\{[^}]*\}|\\.|\{(\d+(?:,\d*)?)\}|./gsu;

/** Returns the beginning of a text, without half a surrogate pair at its end. */
function headOf(text: string, maxCodeUnits: number): string {
  if (text.length <= maxCodeUnits) return text;
  const endsInHalf = /[\ud800-\udbff]/.test(text.charAt(maxCodeUnits - 1));
  return text.slice(0, endsInHalf ? maxCodeUnits - 1 : maxCodeUnits);
}
