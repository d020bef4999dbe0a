import { UNPRINTABLE } from "../platform/unprintable.js";

/** What terminals act on: strings to them such as titles, colours and moves of the cursor, the rest. */
const ESCAPE_SEQUENCE =
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  /\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~])/g;

/**
 * Returns output as a reader is to see it: without escape sequences, of a line that was
 * drawn over with carriage returns what it came to, and with the other control and invisible
 * characters as "\u{1b}". Text that is not seen may be there to instruct whoever reads it.
 */
export function plainText(output: string): string {
  return output
    .replace(ESCAPE_SEQUENCE, "")
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map(lastDrawn)
    .join("\n")
    .replace(UNPRINTABLE, escaped);
}

function lastDrawn(line: string): string {
  if (!line.includes("\r")) return line;
  const drawn = line.split("\r").filter((each) => each.trim() !== "");
  return drawn.at(-1) ?? "";
}

function escaped(char: string): string {
  if (char === "\n" || char === "\t") return char;
  return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Returns the last line that says something, cut to so many characters. */
export function lastLine(output: string, maxChars: number): string {
  const lines = plainText(output).split("\n");
  const line = lines.findLast((each) => each.trim() !== "") ?? "";
  return cut(line.trim(), maxChars);
}

export function cut(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  // Not within a character of two units.
  return `${text.slice(0, maxChars - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}
