import { describe, expect, test } from "vitest";
import { stateDirOf } from "../../../src/cli/commands/command-context.js";
import {
  choiceParser,
  outputStart,
  parseDurationMs,
  parseKeyValue,
  parseListen,
  parsePositiveDurationMs,
  parseSizeBytes,
  parseTime,
  parseWholeNumber,
} from "../../../src/cli/commands/options.js";

describe("times", () => {
  test.each([
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"],
    [" 2026-01-31T12:00:00.5+01:00 ", "2026-01-31T11:00:00.500Z"],
    ["2026-01-31 12:00", "2026-01-31T12:00:00"],
    ["2026-01-31T12:00:01", "2026-01-31T12:00:01"],
    ["2026-01-31", "2026-01-31T00:00:00"],
  ])("%j is %s", (text, expected) => {
    expect(parseTime(text)).toEqual(new Date(expected));
  });

  test.each([
    ["10m", 600_000],
    ["0", 0],
    ["now", 0],
    ["1h 30m", 5_400_000],
  ])("%j is %i ms ago", (text, ms) => {
    const agoMs = Date.now() - parseTime(text).getTime();
    expect(agoMs).toBeGreaterThanOrEqual(ms);
    expect(agoMs).toBeLessThan(ms + 10_000);
  });

  test.each(["", "yesterday", "5", "2026-13-01", "2026-01-31T25:00", "12:00", "-5m"])(
    "%j is none",
    (text) => {
      expect(() => parseTime(text)).toThrow("Give a duration");
    },
  );
});

describe("durations", () => {
  test.each([
    ["0", 0],
    ["0s", 0],
    ["200ms", 200],
    ["5s", 5000],
    ["1.5s", 1500],
    ["10m", 600_000],
    ["10 min", 600_000],
    ["1h30m", 5_400_000],
    [" 1h 30m ", 5_400_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["0.1ms", 1],
  ])("%j is %i ms", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each([
    "",
    " ",
    "5",
    "-5s",
    "5s-",
    "+5s",
    "s",
    "5x",
    "5 bananas",
    "5s bananas",
    "1h-30m",
    "1e3s",
    "5S",
    "1,5s",
    "Infinity",
    "NaN",
    "9999999999999999w",
  ])("%j is none", (text) => {
    expect(() => parseDurationMs(text)).toThrow();
  });

  test("0 is not positive", () => {
    expect(() => parsePositiveDurationMs("0s")).toThrow("longer than 0");
    expect(parsePositiveDurationMs("1ms")).toBe(1);
  });
});

describe("sizes", () => {
  test.each([
    ["0", 0],
    ["65536", 65_536],
    ["10 B", 10],
    ["100MB", 100_000_000],
    ["100mb", 100_000_000],
    ["64 KiB", 65_536],
    ["1.5GiB", 1_610_612_736],
    ["2TB", 2e12],
    ["0.3kB", 300],
  ])("%j is %i bytes", (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes);
  });

  test.each([
    "",
    "MB",
    "-1MB",
    "1e6",
    "1M",
    "1 000 kB",
    "1,5MB",
    "1MB2",
    "NaN",
    "9999999TiB",
    "1constructor",
  ])("%j is none", (text) => {
    expect(() => parseSizeBytes(text)).toThrow();
  });
});

describe("key=value", () => {
  test("collects; the first = divides, the last of a key counts", () => {
    const one = parseKeyValue("A=1", undefined);
    const two = parseKeyValue("B=x=y", one);
    expect(parseKeyValue("A=", two)).toEqual({ A: "", B: "x=y" });
  });

  test.each(["A", "=1", ""])("%j is none", (text) => {
    expect(() => parseKeyValue(text, {})).toThrow("KEY=VALUE");
  });
});

describe("host:port", () => {
  test.each([
    ["127.0.0.1:7420", { host: "127.0.0.1", port: 7420 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["[::1]:65535", { host: "::1", port: 65_535 }],
  ])("%s", (text, address) => {
    expect(parseListen(text, undefined)).toEqual([address]);
  });

  test("collects", () => {
    expect(parseListen("b:2", parseListen("a:1", undefined)).map(({ host }) => host)).toEqual([
      "a",
      "b",
    ]);
  });

  test("several, with commas between them, or none", () => {
    expect(parseListen("a:1,[::1]:2", undefined)).toEqual([
      { host: "a", port: 1 },
      { host: "::1", port: 2 },
    ]);
    expect(parseListen("none", undefined)).toEqual([]);
  });

  test.each(["7420", ":7420", "host", "host:", "host:65536", "host:x", "::1:7420", "http://h:1"])(
    "%s is none",
    (text) => {
      expect(() => parseListen(text, undefined)).toThrow("HOST:PORT");
    },
  );
});

describe("choices", () => {
  const parse = choiceParser(["red", "green"] as const);

  test("collects, with commas too, in any case", () => {
    expect(parse("green, RED", parse("red", undefined))).toEqual(["red", "green", "red"]);
  });

  test.each(["blue", "", "red,"])("%j is none, and all are named", (text) => {
    expect(() => parse(text, undefined)).toThrow("red, green");
  });
});

test.each([
  ["0", 0],
  ["12", 12],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
])("the whole number %s", (text, number) => {
  expect(parseWholeNumber(text)).toBe(number);
});

test.each(["", "-1", "1.5", "0x10", "1e3", "9007199254740993", " 1"])(
  "%j is no whole number",
  (text) => {
    expect(() => parseWholeNumber(text)).toThrow("whole number");
  },
);

test("0 is an offset, and a number of lines", () => {
  expect(outputStart({ tail: 0, stdoutOffset: 0, stderrOffset: 0 })).toEqual({
    tailLines: 0,
    stdoutOffset: 0,
    stderrOffset: 0,
  });
  expect(outputStart({})).toEqual({});
});

describe("the state directory", () => {
  const cli = (env: NodeJS.ProcessEnv = {}) => ({ env, workDir: () => "/here" });

  test("is that of the option, the environment, the default; in this order", () => {
    const env = { PROCMAN_STATE_DIR: "/from-env" };
    expect(stateDirOf("/given/", cli(env))).toBe("/given");
    expect(stateDirOf("../given", cli(env))).toBe("/given");
    expect(stateDirOf(undefined, cli(env))).toBe("/from-env");
    expect(stateDirOf(undefined, cli({ PROCMAN_STATE_DIR: "" }))).toMatch(/\/\.cache\/procman$/);
  });

  test("does not need a current directory when it is absolute", () => {
    const gone = () => {
      throw new Error("ENOENT");
    };
    expect(stateDirOf("/given", { env: {}, workDir: gone })).toBe("/given");
  });
});
