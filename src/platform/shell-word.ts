const NEEDS_NO_QUOTES = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** Returns a word as one would type it in a shell: in quotes only where it needs them. */
export function shellWord(word: string): string {
  return NEEDS_NO_QUOTES.test(word) ? word : quoted(word);
}

/** Quotes a word, so that a POSIX shell takes it as it is. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
