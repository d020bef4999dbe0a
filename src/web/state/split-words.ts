/** A command line, as a shell takes it apart, but with nothing replaced in it. */
export interface SplitLine {
  readonly words: readonly string[];
  /** What a shell would act on and procman does not: "|", "$HOME", "*.txt". */
  readonly shellSigns: readonly string[];
  /** Why it cannot be taken apart. */
  readonly error?: string;
}

const SPACE = /\s/;
/** Signs that join commands or lead their output. */
const OPERATORS = /^(?:\|\||&&|>>|<<|[|&;<>()])/;
/** Parts of words that a shell would replace. */
const EXPANSION = /^(?:\$[\w{(?$!#@*-]|`|[*?]|\[[^\]\s]*\])/;
/** What a backslash takes its meaning from within double quotes. */
const ESCAPED_IN_QUOTES = '$`"\\\n';

/** Splits a command line into words by POSIX's rules for quotes and backslashes. */
export function splitWords(line: string): SplitLine {
  const words: string[] = [];
  const shellSigns: string[] = [];
  let word: string | undefined;
  const note = (sign: string) => {
    if (!shellSigns.includes(sign)) shellSigns.push(sign);
  };
  const fail = (error: string): SplitLine => ({ words, shellSigns, error });

  for (let at = 0; at < line.length; ) {
    const char = line.charAt(at);
    const rest = line.slice(at);
    if (SPACE.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      at += 1;
    } else if (char === "'") {
      const end = line.indexOf("'", at + 1);
      if (end === -1) return fail(`the quote ' at character ${at + 1} has no end`);
      word = (word ?? "") + line.slice(at + 1, end);
      at = end + 1;
    } else if (char === '"') {
      const quoted = readQuoted(line, at + 1);
      if (!quoted) return fail(`the quote " at character ${at + 1} has no end`);
      if (quoted.expands) note("$ in quotes");
      word = (word ?? "") + quoted.text;
      at = quoted.end;
    } else if (char === "\\") {
      if (at + 1 === line.length) return fail("there is nothing after the backslash at the end");
      // A backslash at the end of a line joins it with the next one.
      if (line.charAt(at + 1) !== "\n") word = (word ?? "") + line.charAt(at + 1);
      at += 2;
    } else {
      const operator = OPERATORS.exec(rest)?.[0];
      const expansion = EXPANSION.exec(rest)?.[0];
      if (operator) note(operator);
      else if (expansion) note(wholeWord(rest));
      else if (char === "~" && word === undefined) note("~");
      else if (char === "#" && word === undefined) note("#");
      const taken = operator ?? char;
      word = (word ?? "") + taken;
      at += taken.length;
    }
  }
  if (word !== undefined) words.push(word);
  return { words, shellSigns };
}

/** Reads up to the closing double quote; undefined where there is none. */
function readQuoted(
  line: string,
  from: number,
): { text: string; end: number; expands: boolean } | undefined {
  let text = "";
  let expands = false;
  for (let at = from; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (char === '"') return { text, end: at + 1, expands };
    const next = line.charAt(at + 1);
    if (char === "\\" && next !== "" && ESCAPED_IN_QUOTES.includes(next)) {
      if (next !== "\n") text += next;
      at += 1;
    } else {
      if (char === "$" || char === "`") expands = true;
      text += char;
    }
  }
  return undefined;
}

function wholeWord(rest: string): string {
  return /^\S{1,20}/.exec(rest)?.[0] ?? "";
}
