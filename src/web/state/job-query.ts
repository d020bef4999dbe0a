import { type Job, STATUSES, type Status } from "../../contract/job.js";
import { commandLine, runTimeMs } from "./words.js";

/** What of the jobs is shown, and in which order. It is kept in the page's address. */
export interface JobQuery {
  /** Words that all have to be found in the id, name, command or labels. */
  readonly text: string;
  /** Empty: every status. */
  readonly statuses: readonly Status[];
  /** Labels as "key=value", all of which a job has. */
  readonly labels: readonly string[];
  readonly sort: SortKey;
  readonly descending: boolean;
}

export const SORT_KEYS = [
  "created",
  "status",
  "name",
  "progress",
  "time",
  "cpu",
  "memory",
  "exit",
] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export const DEFAULT_QUERY: JobQuery = {
  text: "",
  statuses: [],
  labels: [],
  sort: "created",
  descending: true,
};

/** Reads a query of an address. What is not known there is left out. */
export function parseQuery(params: URLSearchParams): JobQuery {
  const sort = params.get("sort") ?? "";
  const key = SORT_KEYS.find((each) => each === sort.replace(/^-/, ""));
  return {
    text: params.get("q") ?? "",
    statuses: STATUSES.filter((status) => params.getAll("status").includes(status)),
    labels: params.getAll("label"),
    sort: key ?? DEFAULT_QUERY.sort,
    descending: key === undefined ? DEFAULT_QUERY.descending : sort.startsWith("-"),
  };
}

/** Adds a query to those of an address; what is as by default is left out. */
export function formatQuery(query: JobQuery, params = new URLSearchParams()): URLSearchParams {
  const { text, statuses, labels, sort, descending } = query;
  if (text !== "") params.set("q", text);
  for (const status of statuses) params.append("status", status);
  for (const label of labels) params.append("label", label);
  if (sort !== DEFAULT_QUERY.sort || descending !== DEFAULT_QUERY.descending) {
    params.set("sort", `${descending ? "-" : ""}${sort}`);
  }
  return params;
}

export function isFiltered({ text, statuses, labels }: JobQuery): boolean {
  return text.trim() !== "" || statuses.length > 0 || labels.length > 0;
}

/** Returns the jobs that match all but the statuses, and how many there are of each status. */
export function countStatuses(
  jobs: Iterable<Job>,
  query: JobQuery,
): { readonly all: number; readonly of: Readonly<Record<Status, number>> } {
  const of = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
  const matches = matcher({ ...query, statuses: [] });
  let all = 0;
  for (const job of jobs) {
    if (!matches(job)) continue;
    of[job.status] += 1;
    all += 1;
  }
  return { all, of };
}

/** What sorting needs besides the jobs. */
export interface SortContext {
  readonly nowMs: number;
  readonly cpuShare: (job: Job) => number | undefined;
}

export function selectJobs(jobs: Iterable<Job>, query: JobQuery, context: SortContext): Job[] {
  const matches = matcher(query);
  const selected: Job[] = [];
  for (const job of jobs) if (matches(job)) selected.push(job);
  const value = SORT_VALUES[query.sort];
  const keyed = selected.map((job) => ({ job, key: value(job, context) }));
  const direction = query.descending ? -1 : 1;
  keyed.sort((a, b) => direction * compare(a.key, b.key) || byAge(b.job, a.job));
  return keyed.map(({ job }) => job);
}

type SortValue = string | number;

const SORT_VALUES: Readonly<Record<SortKey, (job: Job, context: SortContext) => SortValue>> = {
  created: (job) => job.createdTime.getTime(),
  status: (job) => STATUSES.indexOf(job.status),
  name: (job) => (job.name ?? commandLine(job)).toLowerCase(),
  progress: (job) => job.progress?.percent ?? -1,
  time: (job, { nowMs }) => runTimeMs(job, nowMs) ?? -1,
  cpu: (job, { cpuShare }) => cpuShare(job) ?? -1,
  memory: (job) => job.usage?.memoryBytes ?? -1,
  exit: (job) => ("exitCode" in job ? (job.exitCode ?? -1) : -1),
};

function compare(a: SortValue, b: SortValue): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byAge(a: Job, b: Job): number {
  return a.createdTime.getTime() - b.createdTime.getTime() || compare(a.id, b.id);
}

function matcher({ text, statuses, labels }: JobQuery): (job: Job) => boolean {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const pairs = labels.map(splitLabel);
  return (job) =>
    (statuses.length === 0 || statuses.includes(job.status)) &&
    pairs.every(([key, value]) => Object.hasOwn(job.labels, key) && job.labels[key] === value) &&
    words.every((word) => haystack(job).includes(word));
}

/** Splits "key=value" at the first "=": a value may have more of them. */
export function splitLabel(label: string): [key: string, value: string] {
  const at = label.indexOf("=");
  return at === -1 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
}

const haystacks = new WeakMap<Job, string>();

function haystack(job: Job): string {
  let text = haystacks.get(job);
  if (text === undefined) {
    const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`);
    text = [job.id, job.name ?? "", commandLine(job), ...labels].join("\n").toLowerCase();
    haystacks.set(job, text);
  }
  return text;
}
