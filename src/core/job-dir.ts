import { basename } from "node:path";
import type { Stream } from "../contract/job.js";

/**
 * The directory of one job, and the only TypeScript that spells the names of its
 * files. The scripts in engine/local spell the same names. They never change, since
 * running jobs and other versions use them. docs/architecture.md has a table of who
 * writes and who reads each file.
 */
export class JobDir {
  /** The absolute path of the directory. */
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get jobId(): string {
    return basename(this.path);
  }

  /** The job's record. Only the server writes it, atomically. */
  get record(): string {
    return `${this.path}/state.json`;
  }

  /** The output of the command, which writes to it directly, or through a pipe. */
  log(stream: Stream): string {
    return `${this.path}/${stream}.log`;
  }

  /** The FIFO that the command writes to, where its output goes through pipes. */
  fifo(stream: Stream): string {
    return `${this.path}/${stream}.fifo`;
  }

  /** The identity of the process that copies the FIFO to the log, if the first one was replaced. */
  carrier(stream: Stream): string {
    return `${this.path}/${stream}.carrier`;
  }

  /** The first offset of each log, where the job has a log limit. */
  get firstOffsets(): string {
    return `${this.path}/first-offsets`;
  }

  /** How the command has truncated its logs; absent where it has not. */
  get truncations(): string {
    return `${this.path}/truncations`;
  }

  /** When the logs grew, as far as a server has looked. Nothing depends on it. */
  get outputTimes(): string {
    return `${this.path}/output-times`;
  }

  /**
   * The identity of the runner and its command. Created by the runner, or by a server
   * that abandons the job, whoever comes first. The runner adds lines when the
   * command has ended.
   */
  get process(): string {
    return `${this.path}/process`;
  }

  /** The job's cgroups of version 1, a line each; absent where it has none. */
  get cgroups(): string {
    return `${this.path}/cgroups`;
  }

  /** The exit record. The server creates it without one, the runner fills it with one write. */
  get exit(): string {
    return `${this.path}/exit`;
  }

  /** With a terminal: the runner's exit record, copied to `exit` after the last output. */
  get ended(): string {
    return `${this.path}/ended`;
  }

  /** With a terminal: the identity of the process that copies `ended` to `exit`. */
  get recorder(): string {
    return `${this.path}/recorder`;
  }

  /** With a terminal: the error output of script(1). */
  get complaint(): string {
    return `${this.path}/complaint`;
  }

  /** A shell script that the runner sources right before it executes the command. */
  get env(): string {
    return `${this.path}/env`;
  }

  /** Exists while the job's processes are being ended; says since when. */
  get stopping(): string {
    return `${this.path}/stopping`;
  }

  /** A script that the runner starts at the command's end, where something is to be run then. */
  get onEnd(): string {
    return `${this.path}/on-end`;
  }

  /** Who runs it; created by that process alone. */
  get onEndRunner(): string {
    return `${this.path}/on-end.runner`;
  }

  /** Empty; made when it is run. */
  get onEndBegun(): string {
    return `${this.path}/on-end.begun`;
  }

  /** How it ended. */
  get onEndEnded(): string {
    return `${this.path}/on-end.ended`;
  }

  /** Its output. */
  get onEndLog(): string {
    return `${this.path}/on-end.log`;
  }

  /**
   * Of a job with `onEnd`: what ended the command. Created by the runner, or by a server
   * that stops the job, whoever comes first.
   */
  get endedBy(): string {
    return `${this.path}/ended-by`;
  }

  /** All input that was accepted. */
  get input(): string {
    return `${this.path}/stdin.log`;
  }

  /** How many bytes of the input came from which sender. */
  get inputSenders(): string {
    return `${this.path}/stdin.senders`;
  }

  /** Exists once the input is closed. */
  get inputClosed(): string {
    return `${this.path}/stdin.closed`;
  }

  /** The FIFO that the command reads its input from. */
  get inputFifo(): string {
    return `${this.path}/stdin.fifo`;
  }

  /** The FIFO that wakes the feeder for new input. */
  get inputBell(): string {
    return `${this.path}/stdin.bell`;
  }

  /** The feeder's pid. */
  get inputFeeder(): string {
    return `${this.path}/stdin.feeder`;
  }
}
