import * as fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, test } from "vitest";
import { LinePattern, expandedSize, requestedFilter } from "../../../src/core/line-pattern.js";

/** How many steps a search may take, and so what is looked at of a line. */
const MAX_STEPS = 1_024_000;

function lookedAt(pattern: string): number {
  return Math.floor(MAX_STEPS / RE2JS.compile(pattern).programSize());
}

describe("a line", () => {
  test.each([
    ["ready", "server ready in 3 ms", true],
    ["ready", "Ready", false],
    ["(?i)ready", "READY", true],
    ["^ready$", "ready", true],
    ["^ready$", "ready ", false],
    ["listening on .*:(\\d{1,5})", "listening on http://localhost:3000", true],
    ["\\pL+ бит", "один бит", true],
    ["^.$", "😀", true],
    ["\\bready\\b", "already", false],
    ["^$", "", true],
    ["^\\Q$x{1000}\\E$", "$x{1000}", true],
  ])("%j in %j: %s", (pattern, line, found) => {
    expect(new LinePattern(pattern).matches(line)).toBe(found);
  });

  test("of 64 KiB is looked at whole by a plain word of 13 letters", () => {
    const line = "x".repeat(65_536 - 13);
    expect(new LinePattern("thirteen-long").matches(`${line}thirteen-long`)).toBe(true);
    expect(lookedAt("thirteen-long")).toBeGreaterThan(65_536);
  });

  test("that is longer is looked at as far as its pattern's size allows; no character is cut in two", () => {
    const plain = lookedAt("ready");
    const ready = new LinePattern("ready");
    expect(ready.matches(`${"x".repeat(plain - 5)}ready${"x".repeat(1e5)}`)).toBe(true);
    expect(ready.matches(`${"x".repeat(plain - 4)}ready`)).toBe(false);
    // Nothing is cut off for a character that is elsewhere.
    expect(ready.matches(`😀${"x".repeat(plain - 7)}ready${"x".repeat(10)}`)).toBe(true);
    const atEnd = lookedAt("x$");
    expect(new LinePattern("x$").matches("x".repeat(atEnd))).toBe(true);
    // What there is of it does not end where the line ends.
    expect(new LinePattern("x$").matches("x".repeat(atEnd + 1))).toBe(false);
    for (const pattern of ["x$", "x\\b", "[^x😀]"]) {
      const cut = `${"x".repeat(lookedAt(pattern) - 1)}😀`;
      expect(new LinePattern(pattern).matches(cut)).toBe(false);
    }
    const large = "(?:.?){240}ready";
    expect(lookedAt(large)).toBeGreaterThanOrEqual(2048);
    expect(new LinePattern(large).matches(`${"x".repeat(2043)}ready`)).toBe(true);
    expect(new LinePattern(large).matches(`${"x".repeat(lookedAt(large))}ready`)).toBe(false);
  });
});

describe("the beginning of a line", () => {
  test.each([
    ["ready> ", "ready> ", true],
    ["ready", "server ready", true],
    ["read", "server re", false],
    ["^> ", "> ", true],
    // What follows may make these untrue.
    ["ready$", "ready", false],
    ["(?m)ready$", "ready", false],
    ["ready\\z", "ready", false],
    ["ready\\b", "ready", false],
    ["ready\\B", "ready", false],
    ["\\B", "a", false],
    // It makes no difference to these.
    ["\\bready\\b", "ready>", true],
    ["(ready$|set)", "ready, set, go", true],
    ["\\$ ", "user@host:~$ ", true],
    ["\\\\b> ", "\\b> ", true],
  ])("%j in %j: %s", (pattern, text, found) => {
    expect(new LinePattern(pattern).matchesBeginning(text)).toBe(found);
  });

  const character = fc.constantFrom("a", "b", " ", "é", "😀");
  const text = fc.array(character, { maxLength: 6 }).map((characters) => characters.join(""));
  const atom = fc.constantFrom(
    "a",
    "b",
    ".",
    " ",
    "[^a]",
    "$",
    "\\z",
    "\\b",
    "\\B",
    "^",
    "é",
    "😀",
  );
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      atom,
      fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => a + b),
      fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `(?:${a}|${b})`),
      fc
        .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "*?", "??", "{2}", "{1,3}"))
        .map(([a, repeated]) => `(?:${a})${repeated}`),
    ),
  }));

  test("matches only where every line that begins so does", () => {
    fc.assert(
      fc.property(pattern, text, text, (pattern, beginning, rest) => {
        const compiled = new LinePattern(pattern);
        if (!compiled.matchesBeginning(beginning)) return;
        expect(compiled.matches(beginning + rest)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test("is found where nothing is asked of what follows", () => {
    fc.assert(
      fc.property(pattern, text, (pattern, text) => {
        fc.pre(!/\$|\\[zbB]/.test(pattern));
        const compiled = new LinePattern(pattern);
        expect(compiled.matchesBeginning(text)).toBe(compiled.matches(text));
      }),
    );
  });

  test("the size of a pattern bounds that of its program", () => {
    fc.assert(
      fc.property(pattern, (pattern) => {
        const instructions = RE2JS.compile(pattern).programSize();
        expect(instructions).toBeLessThanOrEqual(4 * expandedSize(pattern) + 4);
      }),
    );
  });
});

describe("refused", () => {
  test.each([
    ["", "must not be empty"],
    ["(a", "missing closing ): `(a`"],
    ["a**", "invalid nested repetition operator: `**`"],
    ["[z-a]", "invalid character class range: `z-a`"],
    ["\\1", "invalid escape sequence: `\\1`"],
    ["(?=a)", "invalid or unsupported Perl syntax: `(?=`"],
    ["(?<=a)b", "invalid"],
    ["a{1001}", "invalid repeat count"],
    ["(a{100}){100}", "is too large"],
    ["x".repeat(1025), "must not be longer than 1024 bytes"],
    ["é".repeat(513), "must not be longer than 1024 bytes"],
    [".{500}", "is too large"],
    ["(?:.?){300}", "is too large"],
    // Compiled, these would have hundreds of thousands of instructions.
    ["(.?){999}".repeat(113), "is too large"],
    ["((.{1,9}){1,9}){1,9}".repeat(51), "is too large"],
    [`(${"a".repeat(900)}){1000}`, "is too large"],
    [`${"(".repeat(100)}a${"{999})".repeat(100)}`, "is too large"],
    [`${"(".repeat(100)}a${"{0})".repeat(50)}${"{999})".repeat(50)}`, "is too large"],
  ])("%j", (pattern, complaint) => {
    expect(() => new LinePattern(pattern)).toThrow(
      expect.objectContaining({
        reason: "INVALID_ARGUMENT",
        message: expect.stringContaining(`output.pattern: ${complaint}`),
        violations: [{ field: "output.pattern", description: expect.stringContaining(complaint) }],
      }),
    );
  });

  test.each([
    ["a", 1],
    ["(a)", 3],
    ["(ab{3}){2}", 12],
    ["a{2,5}|b{3,}", 9],
    ["[a{99}]{2}", 2],
    ["[]{9}]", 1],
    ["[[:alpha:]{9}]", 1],
    ["\\{9}", 3],
    ["\\x{41}\\p{Greek}", 2],
    ["\\Q{9}(\\E", 8],
    ["a{", 2],
    ["a{0}", 1],
    ["))a{9}", 9],
    ["((a", 3],
  ])("the size of %j is %i", (pattern, size) => {
    expect(expandedSize(pattern)).toBe(size);
  });
});

test("a pattern as long, and as large, as can be is taken", () => {
  expect(new LinePattern(`[${"x".repeat(1022)}]`).matches("x")).toBe(true);
  const sizes = Array.from({ length: 500 }, (_, n) => RE2JS.compile(`.{${n}}`).programSize());
  const largest = sizes.findLastIndex((size) => size <= 500);
  expect(sizes[largest]).toBe(500);
  expect(new LinePattern(`.{${largest}}`).matches("x".repeat(largest))).toBe(true);
  expect(() => new LinePattern(`.{${largest + 1}}`)).toThrow("is too large");
});

test.each([
  "(a+)+$",
  "(a|aa)+$",
  "(.*a){12}$",
  "(a*)*(b*)*c",
  "[ab]*a[ab]{480}[cd]",
  "(?:\\b.*?){90}[\\x01\\x02]$",
])("no pattern hangs on a line that is made for it: %s", (pattern) => {
  const compiled = new LinePattern(pattern);
  // By backtracking the first ones would take longer than the universe has.
  for (const unit of ["a", "ab", "aab a", "é a"]) {
    compiled.matches(`${unit.repeat(64 * 1024)}!`);
    compiled.matches(`${unit.repeat(lookedAt(pattern))}!`.slice(-lookedAt(pattern)));
  }
});

describe("which lines are wanted", () => {
  test("all where there is no pattern", () => {
    expect(requestedFilter({})).toBeUndefined();
    expect(requestedFilter({ pattern: "", invert: false })).toBeUndefined();
  });

  test("those that match, or the others", () => {
    expect(requestedFilter({ pattern: "a" })?.invert).toBe(false);
    const others = requestedFilter({ pattern: "a", invert: true });
    expect(others?.invert).toBe(true);
    expect(others?.pattern.matches("a")).toBe(true);
  });

  test("not which others where there is no pattern", () => {
    expect(() => requestedFilter({ invert: true })).toThrow("invert: is only for a pattern");
  });

  test("an error names the field", () => {
    expect(() => requestedFilter({ pattern: "(" })).toThrow(/^pattern: missing closing/);
  });
});
