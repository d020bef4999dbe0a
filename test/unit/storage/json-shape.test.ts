import { expect, test } from "vitest";
import {
  type Check,
  flag,
  integer,
  listOf,
  looseShape,
  notNegative,
  oneOf,
  optional,
  orDefault,
  positive,
  shape,
  someText,
  text,
  textMatching,
  texts,
  time,
} from "../../../src/storage/json-shape.js";

const size = shape({ rows: integer(1), unit: optional(text) });

test.each<[string, Check<unknown>, unknown[]]>([
  ["a text", text, ["", "x"]],
  ["a text that is not empty", someText, ["x", "\n"]],
  ["a path", textMatching(/^\//, "a path"), ["/"]],
  ["true or false", flag, [true, false]],
  ["a whole number from 1 to 9007199254740991", integer(1), [1, Number.MAX_SAFE_INTEGER]],
  ["a whole number from -5 to 5", integer(-5, 5), [0, -5, 5]],
  ["a positive number", positive, [0.5, 1]],
  ["a number that is not negative", notNegative, [0, 0.5]],
  ["one of a, b", oneOf(["a", "b"]), ["a", "b"]],
  ["a list", listOf(text), [[], ["x"]]],
  ["an object", size, [{ rows: 1, unit: "px" }]],
])("%s: these are taken, and others refused", (description, check, good) => {
  for (const value of good) expect(check(value, "it")).toEqual(value);
  const others = [null, [1], { rows: 0 }, -0.5, "", " ", 1e300, Number.NaN, true, undefined];
  let refused = 0;
  for (const value of others) {
    try {
      check(value, "it");
    } catch (error) {
      refused += 1;
      expect((error as Error).message).toMatch(/^it(\[0\]|\.rows)? must be /);
    }
  }
  expect(refused).toBeGreaterThan(5);
  expect(() => check(null, "it")).toThrow(`it must be ${description}`);
});

test("times are those that JSON has of a Date, and dates that there are", () => {
  const date = new Date("2026-01-02T03:04:05.678Z");
  expect(time(JSON.parse(JSON.stringify(date)))).toEqual(date);
  expect(time("2026-01-02T03:04:05Z")).toEqual(new Date("2026-01-02T03:04:05.000Z"));
  for (const wrong of ["", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", 5]) {
    expect(() => time(wrong, "at")).toThrow("at must be a time");
  }
});

test("what is missing may be, or has a default; null is not missing", () => {
  expect(optional(text)(undefined)).toBeUndefined();
  expect(orDefault(text, "x")(undefined)).toBe("x");
  expect(orDefault(text, "x")("y")).toBe("y");
  expect(() => optional(text)(null, "it")).toThrow("it must be a text");
});

test("an object has the fields of its shape; a loose one keeps the others", () => {
  expect(size({ rows: 2, more: 1 })).toEqual({ rows: 2 });
  expect(looseShape({ at: time })({ at: "2026-01-02T03:04:05.000Z", more: 1 })).toEqual({
    at: new Date("2026-01-02T03:04:05.000Z"),
    more: 1,
  });
});

test("an error names the way to the field", () => {
  const deep = shape({ sizes: listOf(shape({ size })), labels: optional(texts) });
  expect(() => deep(7)).toThrow("the JSON must be an object");
  expect(() => deep({ sizes: [{ size: { rows: 1 } }, { size: { rows: "1" } }] })).toThrow(
    "sizes[1].size.rows must be a whole number",
  );
  expect(() => deep({ sizes: [], labels: { tier: 1 } })).toThrow("labels.tier must be a text");
});

test("a key __proto__ of the user's is one like any other", () => {
  const json = JSON.parse('{"__proto__":"x"}') as unknown;
  expect(Object.entries(texts(json))).toEqual([["__proto__", "x"]]);
});
