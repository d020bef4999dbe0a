import { RE2JS } from "re2js";
import { invalidArgument, type ProcmanError } from "../contract/errors.js";

const MAX_PATTERN_BYTES = 1024;

/*
 * RE2 takes time in proportion to the line's length times the pattern's size, and
 * nothing can interrupt it. With both bounded, a pattern and a line made to be slow
 * take tens of milliseconds. Ordinary ones take microseconds.
 */
const MAX_INSTRUCTIONS = 500;
const MAX_CODE_UNITS = 2048;

/** Compiling takes time in proportion to this; without a bound, seconds. */
const MAX_EXPANDED_SIZE = 2000;

/** A pattern in RE2's syntax to search lines for. */
export class LinePattern {
  readonly #compiled: RE2JS;
  /** Whether a match may depend on what comes after it. */
  readonly #looksAhead: boolean;

  /** @throws ProcmanError INVALID_ARGUMENT with RE2's complaint */
  constructor(pattern: string) {
    if (pattern === "") throw invalidPattern("must not be empty");
    if (Buffer.byteLength(pattern) > MAX_PATTERN_BYTES) {
      throw invalidPattern(`must not be longer than ${MAX_PATTERN_BYTES} bytes`);
    }
    if (!(expandedSize(pattern) <= MAX_EXPANDED_SIZE)) throw tooLarge();
    this.#compiled = compiled(pattern);
    if (this.#compiled.programSize() > MAX_INSTRUCTIONS) throw tooLarge();
    const withoutOtherEscapes = pattern.replace(/\\[^zbB]/gsu, "");
    this.#looksAhead = /\$|\\[zbB]/.test(withoutOtherEscapes);
  }

  /** Whether the pattern matches anywhere in this line. */
  matches(line: string): boolean {
    if (line.length > MAX_CODE_UNITS) return this.matchesBeginning(line);
    return this.#compiled.test(line);
  }

  /** Whether the pattern matches every line that begins with this text. */
  matchesBeginning(text: string): boolean {
    const head = headOf(text);
    if (!this.#compiled.test(head)) return false;
    if (!this.#looksAhead) return true;
    // "$" and "\b" depend on where the text ends only for a match that ends there.
    const first = this.#compiled.matcher(head);
    return first.find() && first.end() < head.length;
  }
}

function compiled(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const complaint = error instanceof Error ? error.message : String(error);
    throw invalidPattern(complaint.replace(/^error parsing regexp: /, ""), error);
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

/** Returns the part of a text that is searched, without half a surrogate pair at its end. */
function headOf(text: string): string {
  if (text.length <= MAX_CODE_UNITS) return text;
  const endsInHalf = /[\ud800-\udbff]/.test(text.charAt(MAX_CODE_UNITS - 1));
  return text.slice(0, endsInHalf ? MAX_CODE_UNITS - 1 : MAX_CODE_UNITS);
}

function tooLarge(): ProcmanError {
  return invalidPattern(
    `is too large: it compiles to more than ${MAX_INSTRUCTIONS} instructions (are its repetitions long?)`,
  );
}

function invalidPattern(description: string, cause?: unknown): ProcmanError {
  return invalidArgument("output.pattern", description, cause);
}
