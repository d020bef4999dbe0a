import { basename, join } from "node:path";
import type { Stream } from "../contract/job.js";

/**
 * The directory of one job: the only TypeScript that spells the names of a job's
 * files. The names stay as they are, since running jobs and other versions use
 * them; the scripts in engine/local spell the same ones. docs/architecture.md has
 * the table of who writes and who reads each.
 */
export class JobDir {
  /** Absolute. */
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get jobId(): string {
    return basename(this.path);
  }

  /** The job's record; written by the server alone, whole or not at all. */
  get record(): string {
    return join(this.path, "state.json");
  }

  /** What the command writes, as it writes it. */
  log(stream: Stream): string {
    return join(this.path, `${stream}.log`);
  }

  /** Where the logs of a job with a log limit begin. */
  get firstOffsets(): string {
    return join(this.path, "first-offsets");
  }

  /**
   * Who the runner and its command are. Created by the runner, or by a server that
   * gives the job up: whoever is first. The runner adds lines to it at the end.
   */
  get process(): string {
    return join(this.path, "process");
  }

  /** How the command ended; made empty by the server, filled in one write at the end. */
  get exit(): string {
    return join(this.path, "exit");
  }

  /** In a terminal: the runner's own exit record, copied to `exit` after the last output. */
  get ended(): string {
    return join(this.path, "ended");
  }

  /** In a terminal: who copies `ended` to `exit`. */
  get recorder(): string {
    return join(this.path, "recorder");
  }

  /** In a terminal: why script(1) could not make it. */
  get complaint(): string {
    return join(this.path, "complaint");
  }

  /** What the runner is to do right before it executes the command; a shell script. */
  get env(): string {
    return join(this.path, "env");
  }

  /** That the job's processes are being ended, and since when. */
  get stopping(): string {
    return join(this.path, "stopping");
  }

  /** All input that was taken. */
  get input(): string {
    return join(this.path, "stdin.log");
  }

  /** Who sent how much of the input. */
  get inputSenders(): string {
    return join(this.path, "stdin.senders");
  }

  /** There once no more input comes. */
  get inputClosed(): string {
    return join(this.path, "stdin.closed");
  }

  /** The FIFO that the command reads its input from. */
  get inputFifo(): string {
    return join(this.path, "stdin.fifo");
  }

  /** The FIFO that tells the feeder of new input. */
  get inputBell(): string {
    return join(this.path, "stdin.bell");
  }

  /** The feeder's pid. */
  get inputFeeder(): string {
    return join(this.path, "stdin.feeder");
  }
}
