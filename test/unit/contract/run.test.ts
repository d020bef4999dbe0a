import { expect, test } from "vitest";
import { run } from "../../../src/contract/run.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

test.each([
  ["waitMs", { waitMs: -1 }],
  ["waitMs", { waitMs: Number.NaN }],
  ["maxBytes", { maxBytes: -1 }],
  ["maxBytes", { maxBytes: 1.5 }],
  ["maxBytes", { maxBytes: 256 * 1024 + 1 }],
  ["ends", { ends: "middle" as never }],
])("starts nothing where %s is wrong: %j", async (field, wrong) => {
  const procman = new FakeProcman();
  await expect(run(procman, { command: "true", ...wrong })).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
    violations: [{ field }],
  });
  expect(procman.calls).toEqual([]);
});

test("the limits themselves are allowed", async () => {
  const procman = new FakeProcman();
  const options = { waitMs: 0, maxBytes: 256 * 1024, ends: "tail" } as const;
  expect(await run(procman, { command: "true", ...options })).toMatchObject({ parts: [] });
  expect(procman.lastCall("readOutput")[1]).toEqual({ maxBytes: 256 * 1024, ends: "tail" });
});
