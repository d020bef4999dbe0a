import { defined } from "../platform/defined.js";
import { onceForEach } from "../platform/once-for-each.js";
import type { Job, TruncatedField } from "./job.js";

/**
 * How much of jobs goes into one message. gRPC's clients take 4 MiB by default; this
 * leaves room also where the estimate is not exact.
 */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Labels are whole wherever a job is told of: filters are held against them. */
export const MAX_LABELS_BYTES = 64 * 1024;

/** How much of a job's arguments, or of the names of its variables, is told outside of `get`. */
const MAX_FIELD_BYTES = 16 * 1024;

/** The bytes that each string takes beside its own: a tag, a length, those of a map's entry. */
const STRING_OVERHEAD_BYTES = 8;

/** What a job takes beside its strings: numbers, times, progress, the progress' text. */
const JOB_OVERHEAD_BYTES = 760;

/**
 * Cuts the long fields of a job, so that many jobs fit into one message. `get` alone
 * returns jobs as they are. Most jobs have nothing to cut.
 */
export function listedJob(job: Job): Job {
  if (jobBytes(job) <= MAX_FIELD_BYTES) return job;
  const args = cutList(job.args, MAX_FIELD_BYTES);
  const env = cutEntries(job.env, MAX_FIELD_BYTES);
  // No new job has more of them, but earlier versions took any number.
  const labels = cutEntries(job.labels, MAX_LABELS_BYTES);
  const cut = defined({ args, env, labels });
  const truncatedFields = Object.keys(cut) as TruncatedField[];
  return truncatedFields.length === 0 ? job : { ...job, ...cut, truncatedFields };
}

/** Returns the jobs from the first one on that take no more than so many bytes, but at least one. */
export function jobsWithin(jobs: readonly Job[], maxBytes: number): readonly Job[] {
  let bytes = 0;
  const end = jobs.findIndex((job, index) => {
    bytes += jobBytes(job);
    return bytes > maxBytes && index > 0;
  });
  return end === -1 ? jobs : jobs.slice(0, end);
}

/** About what a job takes in a message. */
export const jobBytes = onceForEach((job: Job): number => {
  const { id, requestId, command, workDir, args, env, labels } = job;
  const error = "error" in job ? (job.error ?? "") : "";
  const texts = [id, requestId, command, workDir, error, ...args];
  return JOB_OVERHEAD_BYTES + sum(texts, textBytes) + entriesBytes(env) + entriesBytes(labels);
});

/** Returns undefined where the texts fit. The last one that is kept may be kept in part. */
function cutList(texts: readonly string[], maxBytes: number): string[] | undefined {
  if (sum(texts, textBytes) <= maxBytes) return undefined;
  const kept: string[] = [];
  let left = maxBytes;
  for (const text of texts) {
    left -= textBytes(text);
    if (left >= 0) kept.push(text);
    else {
      const room = left + textBytes(text) - STRING_OVERHEAD_BYTES;
      const beginning = firstBytes(text, room);
      if (beginning !== "") kept.push(beginning);
      break;
    }
  }
  return kept;
}

/** Returns undefined where the entries fit. An entry is kept whole or not at all. */
function cutEntries(
  entries: Readonly<Record<string, string>>,
  maxBytes: number,
): Record<string, string> | undefined {
  if (entriesBytes(entries) <= maxBytes) return undefined;
  let left = maxBytes;
  const kept = Object.entries(entries).filter(([name, value]) => {
    const bytes = textBytes(name) + textBytes(value);
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
  return Object.fromEntries(kept);
}

function entriesBytes(entries: Readonly<Record<string, string>>): number {
  return sum(Object.entries(entries), ([name, value]) => textBytes(name) + textBytes(value));
}

function textBytes(text: string): number {
  return Buffer.byteLength(text) + STRING_OVERHEAD_BYTES;
}

/** Cuts a text at a character. */
function firstBytes(text: string, maxBytes: number): string {
  if (maxBytes <= 0) return "";
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += amount(item);
  return total;
}
