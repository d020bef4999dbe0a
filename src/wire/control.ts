import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type {
  CancelRequest,
  CancelRequestSchema,
  CleanupRequest,
  CleanupRequestSchema,
  GetRequest,
  GetRequestSchema,
  RemoveRequest,
  RemoveRequestSchema,
  ResizeWindowRequest,
  ResizeWindowRequestSchema,
  RenewLeaseRequest,
  RenewLeaseRequestSchema,
  RestartRequest,
  RestartRequestSchema,
  SendInputRequest,
  SendInputRequestSchema,
  SendInputResponse,
  SendInputResponseSchema,
  SignalRequest,
  SignalRequestSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { WindowSize } from "../contract/job.js";
import type {
  CancelOptions,
  CleanupOptions,
  GetOptions,
  InputPosition,
  RemoveOptions,
  RenewLeaseOptions,
  RestartOptions,
  SendInputOptions,
  SignalOptions,
} from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import {
  decodeGrace,
  decodeRequestedDuration,
  decodeRequest,
  decodeId,
  decodeNotNegative,
  decodeJobRequest,
  decodeRemaining,
  decodeWindowSize,
  encodeGrace,
  encodeRemaining,
  encodeRequestedDuration,
  encodeInt64,
  encodeWindowSize,
  type JobRequest,
} from "./fields.js";

/* Requests about a job that is there, each of a field or two. */

export function encodeGet(
  id: string,
  { includeEnv = false }: GetOptions,
): Init<typeof GetRequestSchema> {
  return { id, includeEnv };
}

export function decodeGet(request: GetRequest): JobRequest<GetOptions> {
  return decodeJobRequest(request, () => ({ includeEnv: request.includeEnv }));
}

export function encodeSignal(
  id: string,
  signal: string,
  options: SignalOptions,
): Init<typeof SignalRequestSchema> {
  return { id, signal, ...encodeRemaining(options) };
}

export function decodeSignal(
  request: SignalRequest,
): JobRequest<SignalOptions> & { readonly signal: string } {
  return { id: decodeId(request), signal: request.signal, options: decodeRemaining(request) };
}

export function encodeCancel(id: string, options: CancelOptions): Init<typeof CancelRequestSchema> {
  return { id, ...encodeRemaining(options), ...encodeGrace(options) };
}

export function decodeCancel(request: CancelRequest): JobRequest<CancelOptions> {
  return decodeJobRequest(request, (violations) => ({
    ...decodeRemaining(request),
    ...decodeGrace(request, violations),
  }));
}

export function encodeRestart(
  id: string,
  { requestId = "", ...options }: RestartOptions,
): Init<typeof RestartRequestSchema> {
  return { id, requestId, ...encodeGrace(options) };
}

export function decodeRestart(request: RestartRequest): JobRequest<RestartOptions> {
  return decodeJobRequest(request, (violations) => ({
    ...decodeGrace(request, violations),
    ...defined({ requestId: request.requestId || undefined }),
  }));
}

export function encodeRenewLease(
  id: string,
  { leaseMs }: RenewLeaseOptions,
): Init<typeof RenewLeaseRequestSchema> {
  return { id, ...defined({ lease: encodeRequestedDuration("lease", leaseMs) }) };
}

export function decodeRenewLease(request: RenewLeaseRequest): JobRequest<RenewLeaseOptions> {
  return decodeJobRequest(request, (violations) =>
    defined({ leaseMs: decodeRequestedDuration("lease", request.lease, violations) }),
  );
}

export function encodeSendInput(
  id: string,
  { sender = "", offset, data = new Uint8Array(), close = false }: SendInputOptions,
): Init<typeof SendInputRequestSchema> {
  const position = offset !== undefined && { offset: encodeInt64("offset", offset) };
  return { id, sender, data, close, ...position };
}

export function decodeSendInput(request: SendInputRequest): JobRequest<SendInputOptions> {
  const { sender, data, close, offset } = request;
  return decodeJobRequest(request, (violations) => ({
    sender,
    data,
    close,
    ...(offset !== undefined && { offset: decodeNotNegative("offset", offset, violations) }),
  }));
}

export function encodeInputPosition({
  nextOffset,
}: InputPosition): Init<typeof SendInputResponseSchema> {
  return { nextOffset: BigInt(nextOffset) };
}

export function decodeInputPosition({ nextOffset }: SendInputResponse): InputPosition {
  return { nextOffset: Number(nextOffset) };
}

export function encodeResizeWindow(
  id: string,
  size: WindowSize,
): Init<typeof ResizeWindowRequestSchema> {
  return { id, windowSize: encodeWindowSize(size) };
}

export function decodeResizeWindow(request: ResizeWindowRequest): { id: string; size: WindowSize } {
  const { windowSize } = request;
  const { id, options: size } = decodeJobRequest(request, (violations) => {
    if (!windowSize) violations.add("window_size", "must be given");
    return decodeWindowSize(windowSize ?? { rows: 0, columns: 0 });
  });
  return { id, size };
}

export function encodeRemove(
  id: string,
  { unreadable = false, ...options }: RemoveOptions,
): Init<typeof RemoveRequestSchema> {
  return { id, unreadable, ...encodeRemaining(options) };
}

export function decodeRemove(request: RemoveRequest): JobRequest<RemoveOptions> {
  const { unreadable } = request;
  return decodeJobRequest(request, () => ({ unreadable, ...decodeRemaining(request) }));
}

export function encodeCleanup(options: CleanupOptions): Init<typeof CleanupRequestSchema> {
  const olderThan = encodeRequestedDuration("older_than", options.olderThanMs);
  return { ...encodeRemaining(options), ...defined({ olderThan }) };
}

export function decodeCleanup(request: CleanupRequest): CleanupOptions {
  const { olderThan } = request;
  return decodeRequest((violations) => ({
    ...decodeRemaining(request),
    ...defined({ olderThanMs: decodeRequestedDuration("older_than", olderThan, violations) }),
  }));
}
