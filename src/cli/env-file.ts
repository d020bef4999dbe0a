import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { CliError, EXIT } from "./exit-codes.js";
import { printable } from "./format/printable.js";

/**
 * Reads variables from a file in docker's format: a line has NAME=VALUE, where the value is
 * all that follows, quotes too; or NAME alone, for this environment's value, if it has one;
 * or a comment, after "#". Of a name the last value counts.
 * @throws CliError with file and line
 */
export function readEnvFile(path: string, env: NodeJS.ProcessEnv): Record<string, string> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const message = `--env-file: cannot read ${printable(path)}: ${(cause as Error).message}`;
    throw new CliError(message, { exitCode: EXIT.usage, cause });
  }
  const variables: [name: string, value: string][] = [];
  const lines = linesOf(bytes);
  for (const [index, line] of lines.entries()) {
    const refuse = (why: string) =>
      new CliError(`--env-file ${printable(path)}, line ${index + 1}: ${why}`, {
        exitCode: EXIT.usage,
      });
    if (!isUtf8(line)) throw refuse("it is not UTF-8");
    const text = line.toString().replace(/\r$/, "").trimStart();
    if (text === "" || text.startsWith("#")) continue;
    if (text.includes("\0")) throw refuse("it has a NUL byte");
    const [, name = "", value] = /^([^=]*)(?:=(.*))?$/su.exec(text) ?? [];
    if (name === "") throw refuse("there is no name before the =");
    if (/\s/.test(name)) throw refuse(`the name ${printable(JSON.stringify(name))} has a space`);
    const meant = value ?? env[name];
    if (meant !== undefined) variables.push([name, meant]);
  }
  // Not by assignment, to which the name __proto__ would mean something else.
  return Object.fromEntries(variables);
}

function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  // Some editors begin a file with a mark of its encoding.
  let from = bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0;
  while (from < bytes.length) {
    const end = bytes.indexOf("\n", from);
    lines.push(bytes.subarray(from, end === -1 ? bytes.length : end));
    from = end === -1 ? bytes.length : end + 1;
  }
  return lines;
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
