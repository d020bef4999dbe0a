import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type {
  CancelJobsRequest,
  CancelJobsRequestSchema,
  CancelJobsResponse,
  JobResult as ProtoJobResult,
  JobResultSchema,
  JobSelection as ProtoJobSelection,
  JobSelectionSchema,
  RemoveJobsRequest,
  RemoveJobsRequestSchema,
  SignalJobsRequest,
  SignalJobsRequestSchema,
} from "../../gen/procman/v1/procman_pb.js";
import { type ErrorReason, ProcmanError, type Violations } from "../contract/errors.js";
import { jobBytes, MAX_MESSAGE_BYTES } from "../contract/listed-job.js";
import type {
  CancelOptions,
  JobResult,
  JobResults,
  JobSelection,
  RemoveJobsOptions,
  SignalOptions,
} from "../contract/procman.js";
import { clipped } from "./error-map.js";
import {
  decodeGrace,
  decodeName,
  decodeRemaining,
  decodeRequest,
  encodeGrace,
  encodeRemaining,
} from "./fields.js";
import { decodeJob, encodeJob } from "./job.js";
import { decodeFilter, encodeFilter } from "./jobs.js";

/* Requests about several jobs, and what has become of each. */

/** What a request about several jobs says. */
export interface JobsRequest<Options> {
  readonly selection: JobSelection;
  readonly options: Options;
}

/** How much of a job's id or of an error's message is told. */
const MAX_ID_CHARS = 128;
const MAX_MESSAGE_CHARS = 256;
/** What a result takes beside its texts, in JSON too; and a failure, with its reason. */
const RESULT_OVERHEAD_BYTES = 16;
const FAILURE_OVERHEAD_BYTES = 64;

export function encodeCancelJobs(
  selection: JobSelection,
  options: CancelOptions,
): Init<typeof CancelJobsRequestSchema> {
  const how = { ...encodeRemaining(options), ...encodeGrace(options) };
  return { selection: encodeSelection(selection), ...how };
}

export function decodeCancelJobs(request: CancelJobsRequest): JobsRequest<CancelOptions> {
  return decodeRequest((violations) => ({
    selection: decodeSelection(request.selection, violations),
    options: { ...decodeRemaining(request), ...decodeGrace(request, violations) },
  }));
}

export function encodeSignalJobs(
  selection: JobSelection,
  signal: string,
  options: SignalOptions,
): Init<typeof SignalJobsRequestSchema> {
  return { selection: encodeSelection(selection), signal, ...encodeRemaining(options) };
}

export function decodeSignalJobs(
  request: SignalJobsRequest,
): JobsRequest<SignalOptions> & { readonly signal: string } {
  const { selection, signal } = request;
  return decodeRequest((violations) => ({
    selection: decodeSelection(selection, violations),
    signal,
    options: decodeRemaining(request),
  }));
}

export function encodeRemoveJobs(
  selection: JobSelection,
  { cancel = false, ...options }: RemoveJobsOptions,
): Init<typeof RemoveJobsRequestSchema> {
  const how = { cancel, ...encodeRemaining(options), ...encodeGrace(options) };
  return { selection: encodeSelection(selection), ...how };
}

export function decodeRemoveJobs(request: RemoveJobsRequest): JobsRequest<RemoveJobsOptions> {
  const { selection, cancel } = request;
  return decodeRequest((violations) => ({
    selection: decodeSelection(selection, violations),
    options: { cancel, ...decodeRemaining(request), ...decodeGrace(request, violations) },
  }));
}

/**
 * Encodes what all of them answer: jobs for half of a message at most, since what has
 * become of each one is more than what they are.
 */
export function encodeResults({ results, doneSize, failedSize }: JobResults) {
  const told: Init<typeof JobResultSchema>[] = [];
  let bytes = 0;
  for (const result of results) {
    const encoded = encodeResult(result);
    bytes += RESULT_OVERHEAD_BYTES + Buffer.byteLength(encoded.id);
    const { failure } = encoded;
    if (failure) bytes += FAILURE_OVERHEAD_BYTES + Buffer.byteLength(failure.message);
    const job = result.type === "done" ? result.job : undefined;
    const wholeBytes = bytes + (job ? jobBytes(job) : 0);
    if (bytes > MAX_MESSAGE_BYTES) break;
    const hasRoom = wholeBytes <= MAX_MESSAGE_BYTES / 2;
    if (hasRoom) bytes = wholeBytes;
    told.push({ ...encoded, ...(job && hasRoom && { job: encodeJob(job) }) });
  }
  return { results: told, doneSize, failedSize };
}

export function decodeResults(
  response: Pick<CancelJobsResponse, "results" | "doneSize" | "failedSize">,
): JobResults {
  const { results, doneSize, failedSize } = response;
  return { results: results.map(decodeResult), doneSize, failedSize };
}

/** Without its job. */
function encodeResult(result: JobResult) {
  const id = clipped(result.id, MAX_ID_CHARS);
  switch (result.type) {
    case "done":
      return { id };
    case "failed": {
      const { reason, message } = result.error;
      return { id, failure: { reason, message: clipped(message, MAX_MESSAGE_CHARS) } };
    }
  }
}

function decodeResult({ id, job, failure }: ProtoJobResult): JobResult {
  if (failure) {
    const { message } = failure;
    // A newer server may have a reason that this version has no name for.
    const error = new ProcmanError(failure.reason as ErrorReason, message, { jobId: id });
    return { type: "failed", id, error };
  }
  return { type: "done", id: decodeName("an id", id), ...(job && { job: decodeJob(job) }) };
}

function encodeSelection(selection: JobSelection): Init<typeof JobSelectionSchema> {
  const { ids = [], all = false } = selection;
  return { ids: [...ids], all, ...encodeFilter(selection, "selection.") };
}

/** One that is missing says nothing, and is refused as such. */
function decodeSelection(
  selection: ProtoJobSelection | undefined,
  violations: Violations,
): JobSelection {
  if (!selection) return {};
  const { ids, all } = selection;
  return { ids, all, ...decodeFilter(selection, violations, "selection.") };
}
