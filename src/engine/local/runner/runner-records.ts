import { closeSync, openSync, writeFileSync } from "node:fs";
import { fromSystemError } from "../../../contract/errors.js";
import { type Exit, type Stream, STREAMS } from "../../../contract/job.js";
import type { JobDir } from "../../../core/job-dir.js";

import { defined } from "../../../platform/defined.js";
import { hasCode } from "../../../platform/errno.js";
import { signalOfNumber } from "../../../platform/signal-name.js";
import { type ProcessRef, processTable, sameProcess } from "../process/processes.js";
import { readSmallFile } from "../../../platform/small-file.js";

/** The identities of a job's processes, as the `process` file records them. */
export interface Identity {
  readonly bootId: string;
  /** Leads the command's session, and waits for the command. */
  readonly runner: ProcessRef;
  /** Writes the exit record: the runner or, with a terminal, the parent of script(1). */
  readonly exitRecorder: ProcessRef;
  readonly command: ProcessRef;
  /**
   * The processes that copy the command's output from pipes to its logs, as it was started.
   * They are in its session, but never to be ended with it.
   */
  readonly carriers?: Carriers;
  /** When the runner recorded the identities. */
  readonly startedTime: Date;
  /** The directory of the job's cgroup, or "". */
  readonly cgroup: string;
  /** The shell's error, where the command could not be executed. */
  readonly notExecuted?: string;
  /** Another program has started the command: there is no runner, and no exit record to come. */
  readonly isBare?: boolean;
}

export type Carriers = Partial<Readonly<Record<Stream, ProcessRef>>>;

/** Returns what is not ended with the job's session: it ends by itself. */
export function runnerAndCarriers({ runner, carriers = {} }: Identity): ProcessRef[] {
  return [runner, ...Object.values(carriers)];
}

export function isRunnerOrCarrier(identity: Identity, process: ProcessRef): boolean {
  return runnerAndCarriers(identity).some((ref) => sameProcess(ref, process));
}

/** Whether the job has a terminal. Its exit recorder is then not the runner. */
export function isInTerminal({ runner, exitRecorder }: Identity): boolean {
  return runner.pid !== exitRecorder.pid;
}

/** Whether the record is a copy, whose processes are those of the original's job. */
export function isCopied({ bootId }: Pick<Identity, "bootId">): boolean {
  return bootId.startsWith(COPIED);
}

/** Changes the text of a complete `process` file so that it names no process of this machine. */
export function formatCopied(text: string): string {
  const [bootId, runner, command, , ...rest] = text.split("\n");
  return [`${COPIED}${bootId}`, runner, command, CGROUP, ...rest].join("\n");
}

/** The `process` file, created by the runner or by a server that abandons the job. */
export type ProcessRecord =
  | { readonly kind: "missing" }
  /** It is being written, or was cut short. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "abandoned" }
  | ({ readonly kind: "complete" } & Identity);

const ABANDONED = "abandoned\n";

export function readProcessRecord(dir: JobDir): ProcessRecord {
  const file = readWithTime(dir.process);
  if (!file) return { kind: "missing" };
  if (file.text === ABANDONED) return { kind: "abandoned" };
  const [bootId, runnerLine, commandLine, cgroupLine, ...rest] = completeLines(file.text);
  const runner = runnerLine === undefined ? undefined : processTable().parseIdentity(runnerLine);
  const command = commandLine === undefined ? undefined : processTable().parseIdentity(commandLine);
  if (!bootId || !runner || !command || !cgroupLine?.startsWith(CGROUP)) {
    return { kind: "incomplete" };
  }
  const after = (start: string) => rest.find((line) => line.startsWith(start))?.slice(start.length);
  const recorderLine = after(RECORDER);
  const exitRecorder =
    recorderLine === undefined ? runner : processTable().parseIdentity(recorderLine);
  if (!exitRecorder) return { kind: "incomplete" };
  const carriers = parseCarriers((stream) => after(`${CARRIER}${stream} `));
  const complaint = after(NOT_EXECUTED);
  const notExecuted = complaint === undefined ? undefined : withoutShellPrefix(complaint);
  return {
    kind: "complete",
    bootId,
    runner: { pid: runner.pid, startTime: runner.startTime },
    exitRecorder: { pid: exitRecorder.pid, startTime: exitRecorder.startTime },
    command: { pid: command.pid, startTime: command.startTime },
    cgroup: cgroupLine.slice(CGROUP.length),
    startedTime: file.createdTime,
    ...defined({ carriers, notExecuted, isBare: rest.includes(NO_RUNNER) || undefined }),
  };
}

/**
 * Creates the `process` file instead of the runner. A runner that comes late finds
 * that it exists, and runs nothing.
 * @returns false where the runner was first
 */
export function claimProcessRecord(dir: JobDir): boolean {
  let fd: number;
  try {
    fd = openSync(dir.process, "wx", 0o600);
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw fromSystemError(error, `create ${dir.process}`);
  }
  try {
    writeFileSync(fd, ABANDONED);
  } catch {
    // On a full disk it is empty, which names no process either.
  } finally {
    closeSync(fd);
  }
  return true;
}

/** A new job's exit record: none, but with room for one, which is written over it. */
export const NO_EXIT_YET = `${" ".repeat(63)}\n`;

/**
 * Reads how the command ended. The record is the exit code, then what `times` printed
 * (the runner's own times, then its children's), each line ended by a newline. After these
 * three lines, what was there before may be left.
 * @param path the job's `exit`, or `ended`, which the runner in a terminal writes first
 * @returns undefined until the record is complete
 */
export function readExitRecord(path: string): Exit | undefined {
  const file = readWithTime(path);
  if (!file) return undefined;
  const lines = completeLines(file.text);
  if (lines.length < EXIT_LINES && !file.text.endsWith("\n")) return undefined;
  const [code, , children] = lines;
  if (code === undefined || !/^\d{1,3}$/.test(code)) return undefined;
  const exitCode = Number(code);
  return {
    exitCode,
    completedTime: file.modifiedTime,
    ...defined({ signal: signalOf(exitCode), cpuTimeMs: parseTimes(children ?? "") }),
  };
}

/** A line of the `process` file of a command without a runner. */
export const NO_RUNNER = "no runner";
/** What no process has as its start time. */
export const NEVER = "0";

const EXIT_LINES = 3;

/** Before the boot id, so that this and all other versions take it for another boot's. */
const COPIED = "copied ";
const CGROUP = "cgroup ";
const RECORDER = "recorder ";
const CARRIER = "carrier ";
const NOT_EXECUTED = "not executed: ";

function parseCarriers(lineOf: (stream: Stream) => string | undefined): Carriers | undefined {
  const found = STREAMS.flatMap((stream) => {
    const line = lineOf(stream);
    const carrier = line === undefined ? undefined : processTable().parseIdentity(line);
    return carrier ? [[stream, { pid: carrier.pid, startTime: carrier.startTime }] as const] : [];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** Turns `44: exec: x: not found`, and its forms in bash and busybox, into `x: not found`. */
function withoutShellPrefix(complaint: string): string {
  return complaint.replace(/^(?:exec: )?(?:line )?\d+: (?:exec: )?/, "");
}

/** Returns the lines that have their newline. */
function completeLines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}

/** Returns the signal of an exit code 128+n, which means death by signal n in a shell. */
function signalOf(exitCode: number): string | undefined {
  return exitCode <= 128 ? undefined : signalOfNumber(exitCode - 128);
}

/** Returns the sum of `0m1.25s 0m0.03s` (user, system) in milliseconds. */
function parseTimes(line: string): number | undefined {
  const match = /^(\d+)m([\d.,]+)s (\d+)m([\d.,]+)s$/.exec(line.trim());
  if (!match) return undefined;
  const [userMinutes, userSeconds, systemMinutes, systemSeconds] = match
    .slice(1)
    .map((part) => Number(part.replace(",", "."))) as [number, number, number, number];
  return Math.round(((userMinutes + systemMinutes) * 60 + userSeconds + systemSeconds) * 1000);
}

interface FileWithTime {
  readonly text: string;
  readonly createdTime: Date;
  readonly modifiedTime: Date;
}

function readWithTime(path: string): FileWithTime | undefined {
  try {
    const { text, stats } = readSmallFile(path);
    const { mtime, birthtime } = stats;
    // Where the file system has no birth time, Node returns another time or 1970.
    const born = birthtime.getTime() > 0 && birthtime <= mtime ? birthtime : mtime;
    return { text, createdTime: born, modifiedTime: mtime };
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw fromSystemError(error, `read ${path}`);
  }
}
