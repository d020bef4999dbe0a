import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Headers as OwnHeaders } from "../../../src/platform/headers.js";

/** Few, so that the same one comes twice, in either case. */
const names = fc.constantFrom("a", "A", "b-b", "Content-Type", "Set-Cookie", "no name", "", "é");
const values = fc.oneof(
  fc.constantFrom("", " x\t", "a, b", "\u00ff", "two\nlines", "\0", "\u0100", "\n1\r\n"),
  fc.string({ maxLength: 4 }),
);

const step = fc.oneof(
  fc.record({
    verb: fc.constantFrom("append" as const, "set" as const),
    name: names,
    value: values,
  }),
  fc.record({
    verb: fc.constantFrom("delete" as const, "get" as const, "has" as const),
    name: names,
  }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type AnyHeaders = OwnHeaders | Headers;

function apply(headers: AnyHeaders, step: Step): unknown {
  try {
    return "value" in step
      ? headers[step.verb](step.name, step.value)
      : headers[step.verb](step.name);
  } catch (error) {
    return (error as Error).name;
  }
}

function contents(headers: AnyHeaders): unknown {
  const each: unknown[] = [];
  headers.forEach((value, name) => each.push([name, value]));
  return [[...headers], [...headers.keys()], [...headers.values()], each, headers.getSetCookie()];
}

describe("Headers", () => {
  test("do as those of fetch", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const [own, theirs] = [new OwnHeaders(), new Headers()];
        for (const each of steps) expect(apply(own, each)).toEqual(apply(theirs, each));
        expect(contents(own)).toEqual(contents(theirs));
        expect(contents(new OwnHeaders(theirs))).toEqual(contents(new Headers([...theirs])));
      }),
    );
  });

  test("are made of a record, of pairs, or of nothing", () => {
    const record = { b: "1", a: " 2 " };
    for (const init of [record, Object.entries(record), new Headers(record)]) {
      expect(contents(new OwnHeaders(init))).toEqual(contents(new Headers(record)));
    }
    expect([...new OwnHeaders(undefined)]).toEqual([]);
  });
});
