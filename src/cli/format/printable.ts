/** Control characters, and those that turn the direction of text around. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/**
 * On one line, and without what a terminal would obey: commands and labels come
 * from whoever started the job.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    switch (char) {
      case "\n":
        return "\\n";
      case "\t":
        return "\\t";
      case "\r":
        return "\\r";
      default:
        return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
    }
  });
}
