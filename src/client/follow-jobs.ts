import type { WatchJobsResponse } from "../../gen/procman/v1/procman_pb.js";
import type { Job } from "../contract/job.js";
import type { JobsEvent, JobsOutputPattern, WatchJobsOptions } from "../contract/procman.js";
import type { CallRunner } from "./call-runner.js";
import { unreachable } from "../wire/error-map.js";
import { decodeJobsEvent, type JobsMessage } from "../wire/jobs.js";
import { JobsSearchCursor } from "./jobs-search-cursor.js";

/** Where a connection is to go on. */
export interface JobsStart {
  readonly sinceRevision: string;
  readonly output?: JobsOutputPattern;
}

/**
 * Reads changes to jobs over as many connections as it takes. Each one goes on from the
 * last event of the one before: callers see one stream without a gap, or, where there
 * may be one, a further snapshot that closes it.
 */
export function followJobs(
  calls: CallRunner,
  signal: AbortSignal | undefined,
  { sinceRevision = "", output }: WatchJobsOptions,
  open: (start: JobsStart, signal: AbortSignal) => AsyncIterable<WatchJobsResponse>,
): AsyncGenerator<JobsEvent, void, undefined> {
  let seen = sinceRevision;
  const search = output && new JobsSearchCursor(output);
  let begun = false;

  return calls.resumed(signal, async function* (connection) {
    const joinParts = snapshotJoiner();
    const start = { sinceRevision: seen, ...(search && { output: search.request }) };
    for await (const message of connection.receive((signal) => open(start, signal))) {
      const part = decodeJobsEvent(message);
      const event = part && joinParts(part);
      if (!event) continue;
      seen = event.revision;
      search?.take(event);
      // Callers take for granted that nothing was missed when the connection was lost.
      if (event.type === "resumed" && begun) continue;
      begun = true;
      yield event;
    }
    throw unreachable(calls.server, "a stream ended that has no end");
  });
}

/** Returns what joins the parts of a snapshot: undefined for all of them but the last. */
function snapshotJoiner(): (message: JobsMessage) => JobsEvent | undefined {
  let jobs: Job[] | undefined;
  return ({ more, ...event }) => {
    if (event.type === "snapshot") {
      if (!more) return event;
      jobs = [...event.jobs];
      return undefined;
    }
    if (!jobs || event.type !== "changed") return event;
    jobs.push(event.job);
    if (more) return undefined;
    const whole = jobs;
    jobs = undefined;
    return { type: "snapshot", jobs: whole, revision: event.revision };
  };
}
