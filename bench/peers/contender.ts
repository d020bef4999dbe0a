import type { Run } from "../callers.js";

/** What a contender is to do with `true`, once a round. */
export interface Order {
  readonly callers: number;
  /** How many commands to run in all. */
  readonly count: number;
  /**
   * Whether a caller waits until it was told of the command's end; else only until
   * the start was answered.
   */
  readonly untilEnd: boolean;
}

/** One way to run a command, which is compared with others. */
export interface Contender {
  readonly name: string;
  /** Runs what was ordered. Afterwards nothing of it is under way any more. */
  run(order: Order): Promise<ContenderRun>;
}

export interface ContenderRun extends Run {
  /** CPU time of the server that runs the commands, where there is one. */
  readonly serverCpuSeconds?: number;
}

/** A peer that this machine does not have. The message says what is missing. */
export class NotInstalled extends Error {}
