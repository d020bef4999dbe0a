import { appendFileSync, closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { isTerminalStatus } from "../contract/job.js";
import type { EndedJob } from "../core/ended-jobs.js";
import { crashPoint } from "../platform/crash-point.js";
import { hasCode } from "../platform/errno.js";
import { Turns } from "../platform/turns.js";
import { formatCheckedLine, parseCheckedLine, readLines } from "./checked-line.js";

/**
 * Tells a file from any other, and from what it was before it was changed: the kernel
 * sets the time of the last change itself.
 */
export interface FileStamp {
  readonly ino: number;
  readonly size: number;
  readonly ctimeMs: number;
}

/** A job as it was noted here, and the file that its record was in then. */
export interface NotedJob {
  readonly job: EndedJob;
  readonly stamp: FileStamp;
}

/** How long jobs are collected before they are written. */
const WRITE_DELAY_MS = 1000;
const MAX_WAITING = 100;

/** From so many lines of removed jobs on, and more of them than others, the file is rewritten. */
const MIN_DEAD_LINES = 10_000;

/**
 * A file that has a line for each ended job, so that a server's start need not read all
 * records. It is a copy, and never the truth: a line counts only where the job's record
 * is still the very file that it was made from. So it is not synced, may lack any line,
 * may have lines of jobs that are gone, and may be cut short or deleted.
 */
export class EndedJobsFile {
  readonly #path: string;
  #waiting: NotedJob[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** How many lines there are, those of removed jobs included. */
  #lines = 0;
  /** The jobs removed since the file was last rewritten, which may have lines. */
  #removed = new Set<string>();
  #rewriting: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(path: string) {
    this.#path = path;
  }

  /** Returns all jobs that were noted, by their ids. */
  async load(): Promise<Map<string, NotedJob>> {
    const jobs = new Map<string, NotedJob>();
    const turns = new Turns();
    try {
      for (const lines of readNotes(this.#path)) {
        await turns.next();
        this.#lines += lines.length;
        for (const line of lines) {
          const noted = parseLine(line);
          if (noted) jobs.set(noted.job.id, noted);
        }
      }
    } catch (error) {
      // Whatever is wrong with it: the records can be read instead.
      if (!hasCode(error, "ENOENT")) jobs.clear();
    }
    return jobs;
  }

  /** Notes a job soon. */
  add(noted: NotedJob): void {
    if (this.#closing.signal.aborted) return;
    this.#waiting.push(noted);
    if (this.#waiting.length >= MAX_WAITING) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), WRITE_DELAY_MS).unref();
  }

  /** Gives a removed job's line up. It goes when there are many such. */
  remove(id: string): void {
    this.#removed.add(id);
    if (!this.#isWorthRewriting(this.#removed.size)) return;
    const removed = this.#removed;
    this.#removed = new Set();
    this.#startRewriting((id) => !removed.has(id));
  }

  /** Gives all lines up but those of these jobs. They go where there are many such. */
  keepOnly(jobs: ReadonlySet<string>): void {
    if (this.#isWorthRewriting(this.#lines - jobs.size)) this.#startRewriting((id) => jobs.has(id));
  }

  /** Resolves when the file is not written any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#rewriting;
    this.#write();
  }

  #isWorthRewriting(deadLines: number): boolean {
    return !this.#rewriting && deadLines >= Math.max(MIN_DEAD_LINES, this.#lines / 2);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // What is added meanwhile is written after it.
    if (this.#rewriting || this.#waiting.length === 0) return;
    const lines = this.#waiting.map(formatLine);
    this.#waiting = [];
    // Jobs that cannot be noted have their records read by the next server.
    tryTo(() => appendFileSync(this.#path, lines.join(""), { mode: 0o600 }));
    this.#lines += lines.length;
    crashPoint("ended-jobs:appended");
  }

  #startRewriting(isKept: (id: string) => boolean): void {
    this.#rewriting = this.#rewrite(isKept).finally(() => {
      this.#rewriting = undefined;
      if (!this.#closing.signal.aborted) this.#write();
    });
  }

  async #rewrite(isKept: (id: string) => boolean): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    const turns = new Turns();
    let kept = 0;
    try {
      const fd = openSync(temporary, "w", 0o600);
      try {
        for (const lines of readNotes(this.#path)) {
          await turns.next();
          if (this.#closing.signal.aborted) return;
          const live = lines.filter((line) => isKept(parseLine(line)?.job.id ?? ""));
          kept += live.length;
          writeSync(fd, live.map((line) => `${line}\n`).join(""));
        }
      } finally {
        closeSync(fd);
      }
      crashPoint("ended-jobs:rewritten");
      renameSync(temporary, this.#path);
      crashPoint("ended-jobs:replaced");
      this.#lines = kept;
    } catch {
      // The old one is as good, only longer.
    } finally {
      tryTo(() => rmSync(temporary, { force: true }));
    }
  }
}

function tryTo(act: () => void): void {
  try {
    act();
  } catch {
    // The file is a copy, which nobody needs.
  }
}

/** Yields the lines of a file, some at a time, without the empty ones between them. */
function* readNotes(path: string): Generator<string[], void, undefined> {
  for (const lines of readLines(path)) yield lines.filter((line) => line !== "");
}

/**
 * What a line has, in this order. A later version may add to its end. A line that lacks
 * the last ones, of an earlier version, does not count: that version may have noted a job
 * without something that its record has.
 */
type Values = readonly [
  id: string,
  sequence: number,
  status: EndedJob["status"],
  completedMs: number,
  requestId: string,
  labels: EndedJob["labels"],
  ino: number,
  size: number,
  ctimeMs: number,
  /** Empty where it has none. */
  name: string,
];

/** It begins with a newline too, so that it is whole also after one that was cut short. */
function formatLine({ job, stamp }: NotedJob): string {
  const { id, sequence, status, completedMs, requestId, labels, name = "" } = job;
  const { ino, size, ctimeMs } = stamp;
  const facts = [id, sequence, status, completedMs, requestId, labels] as const;
  const values: Values = [...facts, ino, size, ctimeMs, name];
  return `\n${formatCheckedLine(values)}\n`;
}

/** Returns undefined for what is not a whole line. */
function parseLine(line: string): NotedJob | undefined {
  const values = parseCheckedLine(line) as Values | undefined;
  if (!values) return undefined;
  const [id, sequence, status, completedMs, requestId, labels, ino, size, ctimeMs, name] = values;
  // A newer version may know other statuses, and an earlier one no names.
  if (!isTerminalStatus(status) || name === undefined) return undefined;
  const job = { id, sequence, requestId, status, labels, completedMs, seenEndMs: undefined };
  return { job: name === "" ? job : { ...job, name }, stamp: { ino, size, ctimeMs } };
}
