import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitWords } from "../../../src/web/state/split-words.js";
import { shellWord } from "../../../src/platform/shell-word.js";

describe("a command line is taken apart", () => {
  test.each<[line: string, words: string[]]>([
    ["", []],
    ["  make   -j8 ", ["make", "-j8"]],
    [`echo 'a b' "c d" e\\ f`, ["echo", "a b", "c d", "e f"]],
    [`a"b c"d'e f'`, ["ab cde f"]],
    [`'' ""`, ["", ""]],
    [`"a\\"b" "c\\d" '\\'`, ['a"b', "c\\d", "\\"]],
    ["a \\\n b", ["a", "b"]],
    ["git commit -m 'näher' ", ["git", "commit", "-m", "näher"]],
  ])("%j", (line, words) => {
    expect(splitWords(line)).toEqual({ words, shellSigns: [] });
  });

  test.each<[line: string, signs: string[]]>([
    ["ls | wc -l", ["|"]],
    ["a && b; c > out", ["&&", ";", ">"]],
    ["echo $HOME *.txt", ["$HOME", "*.txt"]],
    ['echo "$HOME"', ["$ in quotes"]],
    ["cd ~", ["~"]],
    ["echo '$HOME | *' a=b", []],
    ["curl https://host/a?b", ["?b"]],
  ])("%j has what a shell acts on", (line, signs) => {
    expect(splitWords(line).shellSigns).toEqual(signs);
  });

  test.each([
    ["echo 'a", "the quote ' at character 6 has no end"],
    ['"', 'the quote " at character 1 has no end'],
    ["a\\", "there is nothing after the backslash at the end"],
  ])("%j cannot be", (line, error) => {
    expect(splitWords(line).error).toBe(error);
  });

  test("words that are written as one would type them come back", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), (words) => {
        const { words: back, error } = splitWords(words.map(shellWord).join(" "));
        expect(error).toBeUndefined();
        expect(back).toEqual(words);
      }),
    );
  });

  test("as a shell does it", () => {
    const lines = [`a 'b c' "d e"f\\ g`, `"a\\"b\\\\c" 'd\\e' f\\'g`, `x""y '' z`];
    for (const line of lines) {
      const shell = execFileSync("sh", ["-c", `printf '%s\\n' ${line}`]).toString();
      expect(`${splitWords(line).words.join("\n")}\n`).toBe(shell);
    }
  });
});
