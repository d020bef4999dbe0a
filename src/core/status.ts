import type { Status } from "../contract/job.js";

/** What a stop was asked for by; the first to be recorded counts. */
export type StopKind = "cancel" | "timeout";

/** What can happen to a job. */
export type JobEvent =
  | { readonly type: "started" }
  | { readonly type: "exited"; readonly exitCode: number; readonly stop?: StopKind }
  | { readonly type: "vanished" };

/**
 * The life of a job: the status after an event.
 * @throws RangeError for an event that cannot happen in that status; terminal
 * statuses take none.
 */
export function nextStatus(status: Status, event: JobEvent): Status {
  switch (status) {
    case "pending":
      return event.type === "started" ? "running" : endedStatus(event);
    case "running":
      if (event.type === "started") break;
      return endedStatus(event);
    case "completed":
    case "failed":
    case "cancelled":
    case "orphaned":
      break;
  }
  throw new RangeError(`a job that is ${status} cannot have "${event.type}" happen to it`);
}

function endedStatus(event: Exclude<JobEvent, { type: "started" }>): Status {
  if (event.type === "vanished") return "orphaned";
  if (event.stop === "cancel") return "cancelled";
  if (event.stop === "timeout") return "failed";
  return event.exitCode === 0 ? "completed" : "failed";
}
