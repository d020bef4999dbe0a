import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { type ErrorReason, ProcmanError } from "../../../src/contract/errors.js";
import { encodeError } from "../../../src/wire/error-map.js";

test.each<[ErrorReason, Code]>([
  ["JOB_NOT_FOUND", Code.NotFound],
  ["JOB_RUNNING", Code.FailedPrecondition],
  ["JOB_NOT_RUNNING", Code.FailedPrecondition],
  ["INVALID_ARGUMENT", Code.InvalidArgument],
  ["COMMAND_NOT_FOUND", Code.InvalidArgument],
  ["WORK_DIR_NOT_FOUND", Code.InvalidArgument],
  ["INVALID_PAGE_TOKEN", Code.InvalidArgument],
  ["COMMAND_NOT_EXECUTABLE", Code.PermissionDenied],
  ["REQUEST_ID_CONFLICT", Code.AlreadyExists],
  ["OFFSET_OUT_OF_RANGE", Code.OutOfRange],
  ["DISK_FULL", Code.ResourceExhausted],
  ["TOO_MANY_OPEN_FILES", Code.ResourceExhausted],
  ["PROCESS_LIMIT", Code.ResourceExhausted],
  ["UNAUTHENTICATED", Code.Unauthenticated],
  ["STORAGE_UNAVAILABLE", Code.Unavailable],
  ["RECORD_UNREADABLE", Code.DataLoss],
  ["SHUTTING_DOWN", Code.Unavailable],
  ["INTERNAL", Code.Internal],
])("%s", (reason, code) => {
  const cause = new ProcmanError(reason, "why", { jobId: "a" });
  const error = encodeError(cause);
  expect(error).toMatchObject({ code, rawMessage: "why", cause });
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
    { reason, domain: "procman", metadata: { job_id: "a" } },
  ]);
  expect(error.findDetails(BadRequestSchema)).toEqual([]);
});

test("violations are told as BadRequest", () => {
  const violations = [
    { field: "a", description: "x" },
    { field: "b", description: "y" },
  ];
  const error = encodeError(new ProcmanError("INVALID_ARGUMENT", "why", { violations }));
  expect(error.findDetails(BadRequestSchema)).toMatchObject([{ fieldViolations: violations }]);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ metadata: {} }]);
});

test("what is not known is not told", () => {
  const cause = new Error("/secret");
  const error = encodeError(cause);
  expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error", cause });
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "INTERNAL" }]);
  expect(encodeError("thrown")).toMatchObject({ code: Code.Internal, cause: "thrown" });
});

test("an abort means what the signal's reason says, and other errors what they are", () => {
  const abortError = () => new DOMException("aborted", "AbortError");
  const deadline = new ConnectError("late", Code.DeadlineExceeded);
  for (const [reason, code] of [
    [undefined, Code.Canceled],
    [deadline, Code.DeadlineExceeded],
    [new ProcmanError("SHUTTING_DOWN", "bye"), Code.Unavailable],
  ] as const) {
    const signal = AbortSignal.abort(reason);
    expect(encodeError(signal.reason, signal).code).toBe(code);
    expect(encodeError(abortError(), signal).code).toBe(code);
    expect(encodeError(new ProcmanError("DISK_FULL", ""), signal).code).toBe(
      Code.ResourceExhausted,
    );
    expect(encodeError(new Error("other"), signal).code).toBe(Code.Internal);
  }
  expect(encodeError(abortError(), new AbortController().signal).code).toBe(Code.Internal);
});

test("however long or odd, an error fits in headers", () => {
  const text = `${"\u{1f600}".repeat(600)}\ud800`;
  const violations = Array.from({ length: 1000 }, () => ({ field: text, description: text }));
  const error = encodeError(
    new ProcmanError("INVALID_ARGUMENT", text, { jobId: text, violations }),
  );
  expect(error.rawMessage.length).toBeLessThanOrEqual(1024);
  expect(() => encodeURI(error.rawMessage)).not.toThrow();
  const [badRequest] = error.findDetails(BadRequestSchema);
  expect(badRequest?.fieldViolations.length).toBe(16);
  expect(badRequest?.fieldViolations[0]?.field.length).toBe(256);
});
