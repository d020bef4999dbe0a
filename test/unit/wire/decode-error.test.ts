import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { describe, expect, test } from "vitest";
import { decodeError, encodeError, isTransient } from "../../../src/wire/error-map.js";
import { jobNotFound, ProcmanError } from "../../../src/contract/errors.js";

/** An error of the server's as it arrives. */
function sent(error: ProcmanError): ConnectError {
  const bytes = errorToJsonBytes(encodeError(error), undefined);
  return errorFromJsonBytes(bytes, undefined, new ConnectError("not readable"));
}

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

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

  test.each(["EACCES", "CERT_HAS_EXPIRED", "DEPTH_ZERO_SELF_SIGNED_CERT"])("no: %s", (code) => {
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
  const error = new ConnectError("HTTP 403", Code.PermissionDenied);
  expect(decodeError(error, "there").reason).toBe("UNAUTHENTICATED");
});
