import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type {
  ListRequest,
  ListRequestSchema,
  ListResponse,
  ListResponseSchema,
  WatchJobsRequest,
  WatchJobsRequestSchema,
  WatchJobsResponse,
  WatchJobsResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Violations } from "../contract/errors.js";
import type {
  JobFilter,
  JobPage,
  JobsEvent,
  ListOptions,
  WatchJobsOptions,
} from "../contract/procman.js";
import { STATUS } from "./enums.js";
import { decodeRequest, decodeNotNegative, encodeInt32 } from "./fields.js";
import { decodeJob, encodeJob } from "./job.js";

export function encodeList(options: ListOptions): Init<typeof ListRequestSchema> {
  const { pageSize = 0, pageToken = "" } = options;
  return { ...encodeFilter(options), pageSize: encodeInt32("page_size", pageSize), pageToken };
}

export function decodeList(request: ListRequest): ListOptions {
  return decodeRequest((violations) => ({
    ...decodeFilter(request, violations),
    pageSize: decodeNotNegative("page_size", request.pageSize, violations),
    pageToken: request.pageToken,
  }));
}

export function encodePage(page: JobPage): Init<typeof ListResponseSchema> {
  return { ...page, jobs: page.jobs.map(encodeJob) };
}

export function decodePage({ jobs, nextPageToken, totalSize }: ListResponse): JobPage {
  return { jobs: jobs.map(decodeJob), nextPageToken, totalSize };
}

export function encodeWatchJobs(
  options: Omit<WatchJobsOptions, "signal">,
): Init<typeof WatchJobsRequestSchema> {
  return { ...encodeFilter(options), sinceRevision: options.sinceRevision ?? "" };
}

export function decodeWatchJobs(request: WatchJobsRequest): WatchJobsOptions {
  return decodeRequest((violations) => ({
    ...decodeFilter(request, violations),
    sinceRevision: request.sinceRevision,
  }));
}

export function encodeJobsEvent(event: JobsEvent): Init<typeof WatchJobsResponseSchema> {
  const { revision } = event;
  switch (event.type) {
    case "snapshot":
      return { event: { case: "snapshot", value: { jobs: event.jobs.map(encodeJob), revision } } };
    case "resumed":
      return { event: { case: "resumed", value: { revision } } };
    case "changed":
      return { event: { case: "changed", value: { job: encodeJob(event.job), revision } } };
    case "removed":
      return { event: { case: "removed", value: { id: event.id, revision } } };
  }
}

/** Returns undefined for a heartbeat, and for an event that this version does not know. */
export function decodeJobsEvent({ event }: WatchJobsResponse): JobsEvent | undefined {
  switch (event.case) {
    case "snapshot": {
      const { jobs, revision } = event.value;
      return { type: "snapshot", jobs: jobs.map(decodeJob), revision };
    }
    case "resumed":
      return { type: "resumed", revision: event.value.revision };
    case "changed":
      return { type: "changed", job: decodeJob(event.value.job), revision: event.value.revision };
    case "removed":
      return { type: "removed", id: event.value.id, revision: event.value.revision };
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

function encodeFilter({ statuses, labels }: JobFilter) {
  return { statuses: STATUS.encodeList("statuses", statuses), labels: { ...labels } };
}

function decodeFilter(
  { statuses, labels }: Pick<ListRequest, "statuses" | "labels">,
  violations: Violations,
): JobFilter {
  return { statuses: STATUS.decodeList("statuses", statuses, violations), labels };
}
