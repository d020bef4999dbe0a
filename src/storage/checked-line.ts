/** Returns a line that has the values as JSON, with a checksum and without its newline. */
export function formatCheckedLine(values: readonly unknown[]): string {
  const json = JSON.stringify(values);
  return `${checksum(json)} ${json}`;
}

/** Returns the values of a line, or undefined for what is not a whole one. */
export function parseCheckedLine(line: string): readonly unknown[] | undefined {
  const space = line.indexOf(" ");
  const json = line.slice(space + 1);
  if (line.slice(0, space) !== checksum(json)) return undefined;
  return JSON.parse(json) as readonly unknown[];
}

/** FNV-1a: enough to tell a whole line from one that a crash has left in part. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(36);
}
