import type { ProcessUsage } from "../../../contract/job.js";

/** The state of a process at one moment. */
export interface ProcessInfo {
  readonly pid: number;
  readonly groupId: number;
  readonly sessionId: number;
  /** Identifies the process for ever, together with the boot id and the pid. */
  readonly startTime: string;
  /** Whether it has ended and its parent has not reaped it. */
  readonly zombie: boolean;
}

/** What a process uses. */
export interface MeasuredProcess extends ProcessInfo {
  /** User and system time, with that of the children it has waited for, where that is known. */
  readonly cpuTimeMs: number;
  /** What is resident. */
  readonly memoryBytes: number;
}

export type DiskUsage = Required<Pick<ProcessUsage, "readBytes" | "writtenBytes">>;

/** A process that listens on a TCP port. */
export interface Listener {
  readonly pid: number;
  readonly port: number;
}

/**
 * The processes of this machine. All but `listeners` is synchronous, so that nothing
 * comes between the check of a process and a signal to it.
 */
export interface ProcessTable {
  /** Identifies this boot of the machine. */
  bootId(): string;
  lookup(pid: number): ProcessInfo | undefined;
  all(): ProcessInfo[];
  /** Measures these processes, or all there are, each when it is asked for. */
  measured(pids?: readonly number[]): Iterable<MeasuredProcess>;
  /**
   * Returns what a process, and the children it has waited for, have read from disks and
   * written; undefined where that cannot be known.
   */
  diskUsage(pid: number): DiskUsage | undefined;
  /** Returns the age of a process, or of a mark, by a clock that never jumps. */
  ageMs(startTime: string): number;
  /** Returns the current time in the form of a start time, for `startedBy` and `ageMs`. */
  mark(): string;
  /** Whether a process with that start time had started by that moment. */
  startedBy(startTime: string, mark: string): boolean;
  /** Parses pid and start time from the output of identify.sh. */
  parseIdentity(line: string): { pid: number; startTime: string } | undefined;
  /** Returns a line that `parseIdentity` takes. */
  formatIdentity(process: { pid: number; startTime: string }): string;
  /**
   * Finds which of these processes listen on a TCP port; 0: on any. `pids` is a
   * function since listing them is expensive: Linux skips it where nobody listens.
   */
  listeners(port: number, pids: () => readonly number[]): AsyncIterable<Listener>;
  /** Whether any process has this text as an argument. */
  hasArgument(text: string): boolean;
  /** Whether the standard error of any process is one of these files. */
  hasErrorOutput(paths: readonly string[]): boolean;
  /** Whether any of these processes has one of these very files open, as far as can be known. */
  hasOpenFile(pids: readonly number[], paths: readonly string[]): boolean;
}
