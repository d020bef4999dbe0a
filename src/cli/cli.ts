import type { Procman } from "../contract/procman.js";
import type { Input } from "./terminal/input.js";
import type { Output } from "./terminal/output.js";

/** What the commands know of the world; tests have another one. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** The current directory. @throws Error when it is gone. */
  workDir(): string;
  /**
   * From now on the first Ctrl-C, or other of these signals, aborts this one; only
   * the second one ends the process.
   */
  interruption(signals?: readonly NodeJS.Signals[]): AbortSignal;
  /** Calls back when the process ends, for what takes no time. Returns how to end that. */
  onExit(listener: () => void): () => void;
  /**
   * From now on Ctrl-Z stops the process only after `before` is through, and
   * `after` is called when it goes on. Returns how to end that.
   */
  onSuspension(before: () => Promise<void>, after: () => void): () => void;
  /** A client of the state directory's server, which is started where none runs. */
  connect(stateDir: string): Promise<Procman>;
}
