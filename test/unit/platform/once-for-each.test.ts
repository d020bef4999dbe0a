import { expect, test } from "vitest";
import { onceForEach } from "../../../src/platform/once-for-each.js";

test("computes once for each object, whatever the result", () => {
  const asked: object[] = [];
  const compute = onceForEach((key: { readonly result?: number }) => {
    asked.push(key);
    return key.result;
  });
  const [one, same, none] = [{ result: 1 }, { result: 1 }, {}];
  expect([one, same, none, one, none].map(compute)).toEqual([1, 1, undefined, 1, undefined]);
  expect(asked).toEqual([one, same, none]);
});

test("a computation that fails is tried again", () => {
  let failures = 1;
  const compute = onceForEach(() => {
    if (failures-- > 0) throw new Error("not now");
    return "done";
  });
  const key = {};
  expect(() => compute(key)).toThrow("not now");
  expect(compute(key)).toBe("done");
});
