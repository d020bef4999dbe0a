import { RE2JS } from "re2js";
import { invalidArgument, type ProcmanError } from "../contract/errors.js";

const MAX_PATTERN_BYTES = 1024;

/*
 * RE2 takes time in proportion to the line's length times the pattern's size,
 * and nothing can interrupt it: both are bounded, so that patterns made to be
 * slow, on lines made for them, take tens of milliseconds a line. Ordinary ones
 * take microseconds.
 */
const MAX_INSTRUCTIONS = 500;
const MAX_CODE_UNITS = 2048;

/** Compiling takes time in proportion to this: without a bound, seconds. */
const MAX_WRITTEN_OUT = 2000;

/** A pattern in RE2's syntax that a line is searched for. */
export class LinePattern {
  readonly #compiled: RE2JS;
  /** Whether a match may depend on what follows it. */
  readonly #looksAhead: boolean;

  /** @throws ProcmanError INVALID_ARGUMENT with RE2's complaint */
  constructor(pattern: string) {
    if (pattern === "") throw invalidPattern("must not be empty");
    if (Buffer.byteLength(pattern) > MAX_PATTERN_BYTES) {
      throw invalidPattern(`must not be longer than ${MAX_PATTERN_BYTES} bytes`);
    }
    if (!(writtenOutSize(pattern) <= MAX_WRITTEN_OUT)) throw tooLarge();
    this.#compiled = compiled(pattern);
    if (this.#compiled.programSize() > MAX_INSTRUCTIONS) throw tooLarge();
    const withoutOtherEscapes = pattern.replace(/\\[^zbB]/gsu, "");
    this.#looksAhead = /\$|\\[zbB]/.test(withoutOtherEscapes);
  }

  /** Whether the pattern is found in this line. */
  matches(line: string): boolean {
    if (line.length > MAX_CODE_UNITS) return this.matchesBeginning(line);
    return this.#compiled.test(line);
  }

  /** Whether the pattern is found in every line that begins so. */
  matchesBeginning(text: string): boolean {
    const head = headOf(text);
    if (!this.#compiled.test(head)) return false;
    if (!this.#looksAhead) return true;
    // What is asked of the text's end ("$", "\b") is asked nowhere before it.
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
 * How many characters, classes and parentheses a pattern has when its counted
 * repetitions are written out: "(ab{3}){2}" has 12. The compiled program has at
 * most a few times as many instructions.
 */
export function writtenOutSize(pattern: string): number {
  /** Of the groups that are open, outermost first. */
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

/** A quotation, a class, an escape, a counted repetition, or one character. */
const TOKEN =
  /\\Q.*?(?:\\E|$)|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]|\\[xpP]\{[^}]*\}|\\.|\{(\d+(?:,\d*)?)\}|./gsu;

/** The beginning that is looked at; no character is cut in two. */
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
