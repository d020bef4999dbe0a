import { expect, test } from "vitest";
import {
  argumentError,
  fromSystemError,
  invalidArgument,
  jobNotFound,
  ProcmanError,
  Violations,
} from "../../../src/contract/errors.js";

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

test.each([
  ["ENOSPC", "DISK_FULL"],
  ["EDQUOT", "DISK_FULL"],
  ["EMFILE", "TOO_MANY_OPEN_FILES"],
  ["ENFILE", "TOO_MANY_OPEN_FILES"],
  ["EAGAIN", "PROCESS_LIMIT"],
  ["ENOMEM", "PROCESS_LIMIT"],
  ["EROFS", "STORAGE_UNAVAILABLE"],
  ["EACCES", "STORAGE_UNAVAILABLE"],
  ["EPERM", "STORAGE_UNAVAILABLE"],
  ["ENOENT", "STORAGE_UNAVAILABLE"],
  ["ENOTDIR", "STORAGE_UNAVAILABLE"],
  ["EIO", "STORAGE_UNAVAILABLE"],
  ["EINVAL", "INTERNAL"],
])("%s is %s to a client", (code, reason) => {
  const cause = systemError(code);
  expect(fromSystemError(cause, "write x", "job1")).toMatchObject({
    reason,
    message: `write x: ${code}: it failed`,
    jobId: "job1",
    cause,
  });
});

test("what is no system error is INTERNAL, and what has a reason keeps it", () => {
  expect(fromSystemError(new Error("no"), "try")).toMatchObject({
    reason: "INTERNAL",
    message: "try: no",
    jobId: undefined,
  });
  expect(fromSystemError("no", "try")).toMatchObject({ reason: "INTERNAL", message: "try: no" });
  const known = jobNotFound("job1");
  expect(fromSystemError(known, "try")).toBe(known);
});

test("violations are told together, in their order, and none is no error", () => {
  const violations = new Violations();
  violations.throwIfAny();
  violations.add("b", "is wrong");
  violations.add("a", "is too");
  violations.add("b", "twice");
  expect(() => violations.throwIfAny()).toThrow(
    expect.objectContaining({
      reason: "INVALID_ARGUMENT",
      message: "b: is wrong; a: is too; b: twice",
      violations: [
        { field: "b", description: "is wrong" },
        { field: "a", description: "is too" },
        { field: "b", description: "twice" },
      ],
    }),
  );
});

test("an error about an argument says what caused it, which job it is about, and may say more", () => {
  const cause = new Error("why");
  const violations = [{ field: "work_dir", description: "is gone" }];
  expect(invalidArgument("work_dir", "is gone", cause)).toMatchObject({
    reason: "INVALID_ARGUMENT",
    message: "work_dir: is gone",
    violations,
    cause,
  });
  const options = { message: "start x: it is gone", jobId: "job1", cause };
  const error = argumentError("WORK_DIR_NOT_FOUND", violations, options);
  expect(error).toBeInstanceOf(ProcmanError);
  expect(error).toMatchObject({ reason: "WORK_DIR_NOT_FOUND", violations, ...options });
  expect(argumentError("WORK_DIR_NOT_FOUND", violations).message).toBe("work_dir: is gone");
  expect(argumentError("WORK_DIR_NOT_FOUND", violations)).not.toHaveProperty("cause");
});
