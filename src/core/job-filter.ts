import { createHash } from "node:crypto";
import type { JobFilter } from "../contract/procman.js";
import type { JobSpec, Status } from "../contract/job.js";

/** What of a job filters look at. */
export interface Filtered {
  readonly labels: JobSpec["labels"];
  readonly status: Status;
}

export function isMatch(job: Filtered, { statuses = [], labels = {} }: JobFilter): boolean {
  if (statuses.length > 0 && !statuses.includes(job.status)) return false;
  return Object.entries(labels).every(
    ([key, value]) => Object.hasOwn(job.labels, key) && job.labels[key] === value,
  );
}

/** The same for filters that match the same jobs, and short: what tokens are bound to. */
export function filterDigest({ statuses = [], labels = {} }: JobFilter): string {
  const byKey = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const canonical = JSON.stringify([[...new Set(statuses)].sort(), byKey]);
  return createHash("sha256").update(canonical).digest("base64url").slice(0, 8);
}
