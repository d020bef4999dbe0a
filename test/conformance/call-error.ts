import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";

/** What a client can tell of an error, whatever its library. */
export interface ErrorFacts {
  /** As in google.rpc.Code: "NOT_FOUND". */
  readonly code: string;
  readonly message: string;
  /** Of google.rpc.ErrorInfo. */
  readonly reason?: string | undefined;
  readonly domain?: string | undefined;
  readonly jobId?: string | undefined;
  /** Of google.rpc.BadRequest. */
  readonly fields: readonly string[];
}

export class CallError extends Error implements ErrorFacts {
  override readonly name = "CallError";
  readonly code: string;
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  readonly jobId: string | undefined;
  readonly fields: readonly string[];

  constructor(facts: ErrorFacts) {
    super(facts.message);
    this.code = facts.code;
    this.reason = facts.reason;
    this.domain = facts.domain;
    this.jobId = facts.jobId;
    this.fields = facts.fields;
  }
}

/** One of an error's details; `type` may be a URL. */
export interface Detail {
  readonly type: string;
  readonly value: Uint8Array;
}

export function callError(code: string, message: string, details: readonly Detail[]): CallError {
  let info: { reason: string; domain: string; jobId: string | undefined } | undefined;
  const fields: string[] = [];
  for (const { type, value } of details) {
    switch (type.split("/").at(-1)) {
      case "google.rpc.ErrorInfo": {
        const { reason, domain, metadata } = fromBinary(ErrorInfoSchema, value);
        info = { reason, domain, jobId: metadata["job_id"] };
        break;
      }
      case "google.rpc.BadRequest":
        fields.push(
          ...fromBinary(BadRequestSchema, value).fieldViolations.map(({ field }) => field),
        );
        break;
      default:
        throw new Error(`an error with a ${type}`);
    }
  }
  return new CallError({ code, message, fields, ...info });
}

export function fromConnectError(cause: unknown): CallError {
  const error = ConnectError.from(cause);
  const code = (Code[error.code] ?? "").replaceAll(/(?<!^)([A-Z])/g, "_$1");
  return callError(inGoogleSpelling(code), error.rawMessage, error.details as Detail[]);
}

/** An error in Connect's JSON. */
export interface JsonError {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

export function fromJsonError({ code, message = "", details = [] }: JsonError): CallError {
  const decoded = details.map(({ type, value }) => ({ type, value: base64Decode(value) }));
  return callError(inGoogleSpelling(code), message, decoded);
}

function inGoogleSpelling(code: string): string {
  const upper = code.toUpperCase();
  return upper === "CANCELED" ? "CANCELLED" : upper;
}
