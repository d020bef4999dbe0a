/** Quotes a word, so that a POSIX shell takes it as it is. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
