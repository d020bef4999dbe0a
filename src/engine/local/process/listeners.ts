/** A process that listens on a TCP port. */
export interface Listener {
  readonly pid: number;
  readonly port: number;
}

/**
 * Which of these processes listen on a port; 0: on any. They are asked for only
 * where something on this machine does.
 */
export type FindListeners = (
  port: number,
  processes: () => readonly number[],
) => AsyncIterable<Listener>;
