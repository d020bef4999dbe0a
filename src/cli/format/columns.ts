/** Cuts text that takes more than so many columns, and marks the cut. */
export function cut(text: string, columns: number): string {
  return displayWidth(text) <= columns ? text : `${firstColumns(text, columns - 1)}…`;
}

/** Does the same in the middle: a command is told by its beginning and by its last words. */
export function cutMiddle(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  const endColumns = Math.floor(Math.max(columns - 1, 0) / 3);
  const end = lastColumns(text, endColumns);
  return `${firstColumns(text, columns - 1 - endColumns)}…${end}`;
}

/** What an East Asian terminal font gives two columns, emoji included; and what has none of its own. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const ONLY_NARROW = /^[ -~]*$/;

/** Returns how many columns of a terminal a text takes. */
export function displayWidth(text: string): number {
  if (ONLY_NARROW.test(text)) return text.length;
  let columns = 0;
  for (const char of text) columns += charWidth(char);
  return columns;
}

function charWidth(char: string): number {
  return ZERO_WIDTH.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
}

function firstColumns(text: string, columns: number): string {
  return takeColumns(Array.from(text), columns).join("");
}

function lastColumns(text: string, columns: number): string {
  return takeColumns(Array.from(text).toReversed(), columns).toReversed().join("");
}

function takeColumns(chars: readonly string[], columns: number): string[] {
  let left = columns;
  const end = chars.findIndex((char) => {
    left -= charWidth(char);
    return left < 0;
  });
  return chars.slice(0, end === -1 ? chars.length : end);
}
