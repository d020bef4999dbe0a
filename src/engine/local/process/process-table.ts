/** One process, as the kernel knows it now. */
export interface ProcessInfo {
  readonly pid: number;
  readonly groupId: number;
  readonly sessionId: number;
  /** Together with the boot and the pid it names a process for ever. */
  readonly startTime: string;
  /** Ended, but its parent has not asked how. */
  readonly zombie: boolean;
}

/** A process that listens on a TCP port. */
export interface Listener {
  readonly pid: number;
  readonly port: number;
}

/**
 * What the platform tells of processes. Everything is synchronous, so that
 * nothing comes between looking at a process and signalling it.
 */
export interface ProcessTable {
  /** Names this boot of the machine. */
  bootId(): string;
  lookup(pid: number): ProcessInfo | undefined;
  all(): ProcessInfo[];
  /** Age of a process, or of a mark, by a clock that no wall-clock jump moves. */
  ageMs(startTime: string): number;
  /** This moment, for `startedBy` and `ageMs`. */
  mark(): string;
  /** Whether a process with that start time was there at that moment. */
  startedBy(startTime: string, mark: string): boolean;
  /** Pid and start time from a line that the runner wrote of itself. */
  parseIdentity(line: string): { pid: number; startTime: string } | undefined;
  /**
   * Finds which of these processes listen on a TCP port; 0: on any. `pids` is a
   * function since listing them is expensive: Linux skips it where nobody listens.
   */
  listeners(port: number, pids: () => readonly number[]): AsyncIterable<Listener>;
  /** Whether some process has this text as one of its arguments. */
  hasArgument(text: string): boolean;
}
