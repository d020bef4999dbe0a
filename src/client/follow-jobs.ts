import type { WatchJobsResponse } from "../../gen/procman/v1/procman_pb.js";
import type { JobsEvent } from "../contract/procman.js";
import type { CallRunner } from "./call-runner.js";
import { unreachable } from "../wire/error-map.js";
import { decodeJobsEvent } from "../wire/jobs.js";

/**
 * Reads changes to jobs over as many connections as it takes. Each one goes on from the
 * last event of the one before: callers see one stream without a gap, or, where there
 * may be one, a further snapshot that closes it.
 */
export function followJobs(
  calls: CallRunner,
  signal: AbortSignal | undefined,
  sinceRevision: string,
  open: (sinceRevision: string, signal: AbortSignal) => AsyncIterable<WatchJobsResponse>,
): AsyncGenerator<JobsEvent, void, undefined> {
  let seen = sinceRevision;
  let begun = false;

  return calls.resumed(signal, async function* (connection) {
    for await (const message of connection.receive((signal) => open(seen, signal))) {
      const event = decodeJobsEvent(message);
      if (!event) continue;
      seen = event.revision;
      // Callers take for granted that nothing was missed when the connection was lost.
      if (event.type === "resumed" && begun) continue;
      begun = true;
      yield event;
    }
    throw unreachable(calls.server, "a stream ended that has no end");
  });
}
