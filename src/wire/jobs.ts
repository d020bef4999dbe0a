import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  JobsOutputPattern as ProtoJobsOutputPattern,
  JobsOutputPatternSchema,
  ListRequest,
  ListRequestSchema,
  ListResponse,
  ListResponseSchema,
  RefreshResponseSchema,
  WatchJobsRequest,
  WatchJobsRequestSchema,
  WatchJobsResponse,
  WatchJobsResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Violations } from "../contract/errors.js";
import type { Job } from "../contract/job.js";
import { jobsWithin, MAX_MESSAGE_BYTES } from "../contract/listed-job.js";
import type {
  JobFilter,
  JobPage,
  JobsEvent,
  JobsOutputPattern,
  ListOptions,
  WatchJobsOptions,
} from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { STATUS, STREAM } from "./enums.js";
import { malformedResponse } from "./error-map.js";
import {
  decodeName,
  decodeRequest,
  decodeNotNegative,
  encodeInt32,
  encodeInt64,
  encodeTime,
} from "./fields.js";
import { decodeJob, encodeJob } from "./job.js";
import { decodeLine, decodeSearched, encodeLine, encodeSearched } from "./output.js";

export function encodeList(options: ListOptions): Init<typeof ListRequestSchema> {
  const { pageSize = 0, pageToken = "", includeUsage = false } = options;
  const page = { pageSize: encodeInt32("page_size", pageSize), pageToken };
  return { ...encodeFilter(options), ...page, includeUsage };
}

export function decodeList(request: ListRequest): ListOptions {
  return decodeRequest((violations) => ({
    ...decodeFilter(request, violations),
    pageSize: decodeNotNegative("page_size", request.pageSize, violations),
    pageToken: request.pageToken,
    includeUsage: request.includeUsage,
  }));
}

export function encodePage(page: JobPage): Init<typeof ListResponseSchema> {
  return { ...page, jobs: page.jobs.map(encodeJob), unreadable: [...page.unreadable] };
}

export function decodePage(page: ListResponse): JobPage {
  const { jobs, nextPageToken, totalSize, unreadable, unreadableSize } = page;
  return {
    jobs: jobs.map(decodeJob),
    nextPageToken,
    totalSize,
    unreadable: unreadable.map(({ id, error }) => ({ id, error })),
    unreadableSize,
  };
}

/** Encodes the jobs that a refresh has changed; those that do not fit by their ids. */
export function encodeRefreshed(changed: readonly Job[]): Init<typeof RefreshResponseSchema> {
  const told = jobsWithin(changed, MAX_MESSAGE_BYTES);
  const furtherIds = changed.slice(told.length).map(({ id }) => id);
  return { jobs: told.map(encodeJob), furtherIds };
}

export function encodeWatchJobs(
  options: Omit<WatchJobsOptions, "signal">,
): Init<typeof WatchJobsRequestSchema> {
  const { sinceRevision = "", output, includeUsage = false } = options;
  const outputPattern = output && encodeOutputPattern(output);
  return { ...encodeFilter(options), sinceRevision, includeUsage, ...defined({ outputPattern }) };
}

export function decodeWatchJobs(request: WatchJobsRequest): WatchJobsOptions {
  return decodeRequest((violations) => ({
    ...decodeFilter(request, violations),
    sinceRevision: request.sinceRevision,
    ...(request.outputPattern && {
      output: decodeOutputPattern(request.outputPattern, violations),
    }),
    includeUsage: request.includeUsage,
  }));
}

function encodeOutputPattern({
  pattern,
  streams,
  invert = false,
  positions = [],
  newestCreatedTime,
}: JobsOutputPattern): Init<typeof JobsOutputPatternSchema> {
  return {
    pattern,
    streams: STREAM.encodeList("output_pattern.streams", streams),
    invert,
    positions: positions.map(({ id, stdoutOffset, stderrOffset }, index) => {
      const within = `output_pattern.positions[${index}]`;
      return {
        id,
        stdoutOffset: encodeInt64(`${within}.stdout_offset`, stdoutOffset),
        stderrOffset: encodeInt64(`${within}.stderr_offset`, stderrOffset),
      };
    }),
    ...defined({ newestCreatedTime: encodeTime(newestCreatedTime) }),
  };
}

function decodeOutputPattern(
  { pattern, streams, invert, positions, newestCreatedTime }: ProtoJobsOutputPattern,
  violations: Violations,
): JobsOutputPattern {
  return {
    pattern,
    streams: STREAM.decodeList("output_pattern.streams", streams, violations),
    invert,
    positions: positions.map(({ id, stdoutOffset, stderrOffset }, index) => {
      const within = `output_pattern.positions[${index}]`;
      return {
        id,
        stdoutOffset: decodeNotNegative(`${within}.stdout_offset`, stdoutOffset, violations),
        stderrOffset: decodeNotNegative(`${within}.stderr_offset`, stderrOffset, violations),
      };
    }),
    ...defined({ newestCreatedTime: newestCreatedTime && timestampDate(newestCreatedTime) }),
  };
}

/** What one message of WatchJobs holds: an event, or a part of a snapshot that others follow. */
export type JobsMessage = JobsEvent & { readonly more?: boolean };

/** Splits snapshots that are too large for one message. */
export async function* splitSnapshots(
  events: AsyncIterable<JobsEvent>,
): AsyncGenerator<JobsMessage, void, undefined> {
  for await (const event of events) {
    if (event.type === "snapshot") yield* splitSnapshot(event);
    else yield event;
  }
}

/**
 * Gives the rest of a large snapshot as changes: a client that does not know of parts
 * then ends with the same jobs. Only the last part has a revision to resume from.
 */
function* splitSnapshot(
  snapshot: Extract<JobsEvent, { type: "snapshot" }>,
): Generator<JobsMessage, void, undefined> {
  const { jobs, revision } = snapshot;
  const first = jobsWithin(jobs, MAX_MESSAGE_BYTES);
  const last = jobs.length - 1;
  if (first.length > last) {
    yield snapshot;
    return;
  }
  yield { type: "snapshot", jobs: first, revision: "", more: true };
  for (let index = first.length; index <= last; index += 1) {
    const more = index < last;
    const job = jobs[index] as Job;
    yield { type: "changed", job, revision: more ? "" : revision, more };
  }
}

export function encodeJobsEvent(event: JobsMessage): Init<typeof WatchJobsResponseSchema> {
  const { revision } = event;
  const { more = false } = event;
  switch (event.type) {
    case "snapshot": {
      const jobs = event.jobs.map(encodeJob);
      return { event: { case: "snapshot", value: { jobs, revision, more } } };
    }
    case "resumed":
      return { event: { case: "resumed", value: { revision } } };
    case "changed":
      return { event: { case: "changed", value: { job: encodeJob(event.job), revision, more } } };
    case "removed":
      return { event: { case: "removed", value: { id: event.id, revision } } };
    case "line": {
      const { id, line } = event;
      return { event: { case: "line", value: { id, line: encodeLine(line), revision } } };
    }
    case "searched": {
      const { id, complete } = event;
      const value = { position: { id, ...encodeSearched(event) }, complete, revision };
      return { event: { case: "searched", value } };
    }
  }
}

/** Returns undefined for a heartbeat, and for an event that this version does not know. */
export function decodeJobsEvent({ event }: WatchJobsResponse): JobsMessage | undefined {
  switch (event.case) {
    case "snapshot": {
      const { jobs, revision, more } = event.value;
      return { type: "snapshot", jobs: jobs.map(decodeJob), revision, ...(more && { more }) };
    }
    case "resumed":
      return { type: "resumed", revision: event.value.revision };
    case "changed": {
      const { job, revision, more } = event.value;
      return { type: "changed", job: decodeJob(job), revision, ...(more && { more }) };
    }
    case "removed":
      return {
        type: "removed",
        id: decodeName("an id", event.value.id),
        revision: event.value.revision,
      };
    case "line": {
      const { id, line, revision } = event.value;
      if (!line) throw malformedResponse("a job's line that is missing");
      return { type: "line", id: decodeName("an id", id), line: decodeLine(line), revision };
    }
    case "searched": {
      const { position, complete, revision } = event.value;
      if (!position) throw malformedResponse("how far a job was searched, without a position");
      const id = decodeName("an id", position.id);
      return { type: "searched", id, ...decodeSearched(position), complete, revision };
    }
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

/** @param within where the fields are, for errors: "selection." where they are that field's */
export function encodeFilter({ statuses, labels, name = "" }: JobFilter, within = "") {
  return {
    statuses: STATUS.encodeList(`${within}statuses`, statuses),
    labels: { ...labels },
    name,
  };
}

export function decodeFilter(
  { statuses, labels, name }: Pick<ListRequest, "statuses" | "labels" | "name">,
  violations: Violations,
  within = "",
): JobFilter {
  return {
    statuses: STATUS.decodeList(`${within}statuses`, statuses, violations),
    labels,
    ...(name !== "" && { name }),
  };
}
