import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { type ErrorReason, jobNotFound, ProcmanError } from "../../../src/contract/errors.js";
import { decodeError, encodeError, isTransient } from "../../../src/wire/error-map.js";

const someText = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });

/** An error of the server's as it arrives. */
function sent(error: ProcmanError): ConnectError {
  const bytes = errorToJsonBytes(encodeError(error), undefined);
  return errorFromJsonBytes(bytes, undefined, new ConnectError("not readable"));
}

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

/** Every reason there is: the type asks for each. */
const CODES: Record<ErrorReason, Code> = {
  JOB_NOT_FOUND: Code.NotFound,
  JOB_RUNNING: Code.FailedPrecondition,
  JOB_NOT_RUNNING: Code.FailedPrecondition,
  JOB_HAS_PROCESSES: Code.FailedPrecondition,
  INVALID_ARGUMENT: Code.InvalidArgument,
  COMMAND_NOT_FOUND: Code.InvalidArgument,
  WORK_DIR_NOT_FOUND: Code.InvalidArgument,
  LIMIT_NOT_SUPPORTED: Code.FailedPrecondition,
  INVALID_PAGE_TOKEN: Code.InvalidArgument,
  COMMAND_NOT_EXECUTABLE: Code.PermissionDenied,
  REQUEST_ID_CONFLICT: Code.AlreadyExists,
  NAME_IN_USE: Code.AlreadyExists,
  OFFSET_OUT_OF_RANGE: Code.OutOfRange,
  INPUT_NOT_OPEN: Code.FailedPrecondition,
  INPUT_BACKLOG: Code.ResourceExhausted,
  INPUT_LIMIT: Code.ResourceExhausted,
  NO_TERMINAL: Code.FailedPrecondition,
  NO_LEASE: Code.FailedPrecondition,
  DISK_FULL: Code.ResourceExhausted,
  TOO_MANY_OPEN_FILES: Code.ResourceExhausted,
  PROCESS_LIMIT: Code.ResourceExhausted,
  UNAUTHENTICATED: Code.Unauthenticated,
  HOST_NOT_ALLOWED: Code.PermissionDenied,
  ORIGIN_NOT_ALLOWED: Code.PermissionDenied,
  STORAGE_UNAVAILABLE: Code.Unavailable,
  RECORD_UNREADABLE: Code.DataLoss,
  SHUTTING_DOWN: Code.Unavailable,
  UNREACHABLE: Code.Unavailable,
  INTERNAL: Code.Internal,
};

describe.each(Object.entries(CODES) as [ErrorReason, Code][])("%s", (reason, code) => {
  test("is encoded with its code, and the job", () => {
    const cause = new ProcmanError(reason, "why", { jobId: "a" });
    const error = encodeError(cause);
    expect(error).toMatchObject({ code, rawMessage: "why", cause });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason, domain: "procman", metadata: { job_id: "a" } },
    ]);
    expect(error.findDetails(BadRequestSchema)).toEqual([]);
  });

  test("is decoded to what was encoded", () => {
    const violation = fc.record({ field: someText, description: someText });
    const any = fc.record({
      message: someText,
      jobId: fc.option(someText, { nil: undefined }),
      violations: fc.array(violation, { maxLength: 16 }),
    });
    fc.assert(
      fc.property(any, ({ message, jobId, violations }) => {
        const options = { violations, ...(jobId !== undefined && { jobId }) };
        const decoded = decodeError(sent(new ProcmanError(reason, message, options)), "there");
        expect(decoded).toMatchObject({ reason, message, jobId, violations });
      }),
      { numRuns: 30 },
    );
  });
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
  const reason = new Error("the client left");
  expect(encodeError(reason, AbortSignal.abort(reason))).toMatchObject({
    code: Code.Canceled,
    rawMessage: "the call was canceled",
    cause: reason,
  });
  expect(encodeError(deadline)).toBe(deadline);
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
  expect(badRequest?.fieldViolations[0]?.description.length).toBe(256);
  const [info] = error.findDetails(ErrorInfoSchema);
  expect(info?.metadata["job_id"]?.length).toBe(256);
});

test("a text that just fits is told as it is, and one that does not says so", () => {
  const error = (message: string, short: string) =>
    encodeError(
      new ProcmanError("INVALID_ARGUMENT", message, {
        jobId: short,
        violations: [{ field: short, description: short }],
      }),
    );
  const fitting = error("x".repeat(1024), "y".repeat(256));
  expect(fitting.rawMessage).toBe("x".repeat(1024));
  expect(decodeError(fitting, "there")).toMatchObject({
    jobId: "y".repeat(256),
    violations: [{ field: "y".repeat(256), description: "y".repeat(256) }],
  });
  const cut = error("x".repeat(1025), "y".repeat(257));
  expect(cut.rawMessage).toBe(`${"x".repeat(1023)}…`);
  const short = `${"y".repeat(255)}…`;
  expect(decodeError(cut, "there")).toMatchObject({
    jobId: short,
    violations: [{ field: short, description: short }],
  });
  expect(error("a\ud800b", "").rawMessage).toBe("a\ufffdb");
});

test("the server's errors keep their reason, job and violations", () => {
  const { reason, jobId, message, violations } = decodeError(sent(jobNotFound("k3x")), "there");
  expect({ reason, jobId, message, violations }).toEqual({
    reason: "JOB_NOT_FOUND",
    jobId: "k3x",
    message: 'no job "k3x"',
    violations: [],
  });

  const found = [
    { field: "command", description: "must not be empty" },
    { field: "timeout", description: "must be positive" },
  ];
  const invalid = new ProcmanError("INVALID_ARGUMENT", "both", { violations: found });
  expect(decodeError(sent(invalid), "there")).toMatchObject({
    reason: "INVALID_ARGUMENT",
    violations: found,
    jobId: undefined,
  });
});

test("a reason of another domain is none of procman's", () => {
  const error = sent(jobNotFound("k3x"));
  for (const detail of error.details) {
    if ("value" in detail && detail.value instanceof Uint8Array) {
      const text = Buffer.from(detail.value).toString("latin1").replace("procman", "another");
      detail.value = new Uint8Array(Buffer.from(text, "latin1"));
    }
  }
  expect(decodeError(error, "there")).toMatchObject({ reason: "INTERNAL" });
});

describe("whether to try again", () => {
  const lost: [string, ConnectError][] = [
    ["nobody there", new ConnectError("x", Code.Unavailable)],
    ["reset", new ConnectError("aborted", Code.Aborted, undefined, [], systemError("ECONNRESET"))],
    ["no socket", new ConnectError("x", Code.Internal, undefined, [], systemError("ENOENT"))],
    ["given up by a proxy", new ConnectError("x", Code.DeadlineExceeded)],
    ["stream reset", new ConnectError("x", Code.Canceled)],
    ["fetch failed", new ConnectError("x", Code.Unknown, undefined, [], new TypeError("failed"))],
    ["cut short", new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument)],
  ];
  test.each(lost)("yes: %s", (_name, error) => {
    const decoded = decodeError(error, "/run/x.sock");
    expect(decoded).toMatchObject({ reason: "UNREACHABLE", cause: error });
    expect(decoded.message).toContain("/run/x.sock");
    expect(isTransient(decoded)).toBe(true);
  });

  test("yes: the server restarts", () => {
    const closing = new ProcmanError("SHUTTING_DOWN", "closing");
    expect(isTransient(decodeError(sent(closing), "there"))).toBe(true);
  });

  test("yes: causes that go round in a circle", () => {
    const a = systemError("ECONNREFUSED");
    const b = new Error("b", { cause: a });
    a.cause = b;
    expect(isTransient(new ProcmanError("UNREACHABLE", "x", { cause: b }))).toBe(true);
  });

  test.each([
    "EACCES",
    "EPERM",
    "EPROTO",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "CERT_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  ])("no: %s", (code) => {
    const error = new ConnectError("x", Code.Internal, undefined, [], systemError(code));
    const decoded = decodeError(error, "there");
    expect(decoded.reason).toBe("UNREACHABLE");
    expect(isTransient(decoded)).toBe(false);
  });

  test.each([
    ["an error of the storage's", sent(new ProcmanError("STORAGE_UNAVAILABLE", "x"))],
    ["no such job", sent(jobNotFound("x"))],
    ["another kind of server", new ConnectError("HTTP 404", Code.Unimplemented)],
    ["an error nobody explained", new ConnectError("x", Code.Internal)],
    ["a wrong argument nobody explained", new ConnectError("x", Code.InvalidArgument)],
    ["a proxy that wants a login", new ConnectError("HTTP 401", Code.Unauthenticated)],
  ])("no: %s", (_name, error) => {
    expect(isTransient(decodeError(error, "there"))).toBe(false);
  });
});

test("refused before a reason could be given is UNAUTHENTICATED", () => {
  for (const code of [Code.PermissionDenied, Code.Unauthenticated]) {
    const error = new ConnectError("HTTP 403", code);
    expect(decodeError(error, "there")).toMatchObject({
      reason: "UNAUTHENTICATED",
      message: "there: HTTP 403",
      cause: error,
    });
  }
});

test("what is no error of a call is told as it is", () => {
  const known = jobNotFound("x");
  expect(decodeError(known, "there")).toBe(known);
  const cause = new TypeError("x is not a function");
  expect(decodeError(cause, "there")).toMatchObject({
    reason: "INTERNAL",
    message: "x is not a function",
    cause,
  });
  expect(decodeError("thrown", "there")).toMatchObject({ message: "thrown", cause: "thrown" });
});
