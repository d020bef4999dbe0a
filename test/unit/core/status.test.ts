import { expect, test } from "vitest";
import { STATUSES } from "../../../src/contract/job.js";
import { type JobEvent, nextStatus } from "../../../src/core/transitions.js";

const exited = (exitCode: number, stop?: "cancel" | "timeout"): JobEvent => ({
  type: "exited",
  exitCode,
  ...(stop ? { stop } : {}),
});

test.each([
  ["pending", { type: "started" }, "running"],
  ["pending", { type: "vanished" }, "orphaned"],
  ["pending", exited(0), "completed"],
  ["pending", exited(1), "failed"],
  ["pending", exited(0, "cancel"), "cancelled"],
  ["running", exited(0), "completed"],
  ["running", exited(1), "failed"],
  ["running", exited(137), "failed"],
  ["running", exited(0, "cancel"), "cancelled"],
  ["running", exited(143, "cancel"), "cancelled"],
  ["running", exited(0, "timeout"), "failed"],
  ["running", { type: "vanished" }, "orphaned"],
] as const)("%s, %o -> %s", (before, event, after) => {
  expect(nextStatus(before, event)).toBe(after);
});

test("a job starts once", () => {
  expect(() => nextStatus("running", { type: "started" })).toThrow(RangeError);
});

test("terminal statuses never change", () => {
  for (const status of STATUSES.slice(2)) {
    for (const event of [{ type: "started" }, exited(0), { type: "vanished" }] as const) {
      expect(() => nextStatus(status, event)).toThrow(status);
    }
  }
});
