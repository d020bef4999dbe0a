import type { ReconnectOptions } from "../client/index.js";
import type { Procman } from "../contract/procman.js";
import type { ProcessAttributes } from "./caller-attributes.js";
import type { RawProcess } from "./command-line-bytes.js";
import type { RemoteHost } from "./remote-host.js";
import type { Input } from "./terminal/input.js";
import type { Output } from "./terminal/output.js";

export interface ConnectOptions {
  /** Whether a state directory that is missing is made. Default false: an error. */
  readonly makesStateDir?: boolean;
  /** Whether a server is started where none runs. Default true. */
  readonly startsServer?: boolean;
  /**
   * How a client of this machine's server goes on when the connection is lost. Default: as
   * that of another machine's does.
   */
  readonly reconnect?: ReconnectOptions;
}

/** A server: that of a state directory of this machine, or one that has a URL. */
export type ServerPlace = { readonly stateDir: string } | { readonly host: RemoteHost };

/** The process that a command runs in: its streams, environment and signals. Tests have another. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  /** The bytes behind the arguments, the environment and the current directory. */
  readonly raw: RawProcess;
  /** Returns what a job that is to run as in this shell inherits of it. */
  readonly attributes: () => ProcessAttributes;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Returns the current directory. @throws Error when it has been deleted. */
  workDir(): string;
  /**
   * Returns a signal that the first of these signals aborts (default: SIGINT, which
   * Ctrl-C sends). The second one ends the process.
   */
  interruption(signals?: readonly NodeJS.Signals[]): AbortSignal;
  /** Calls back, synchronously, when the process exits. @returns how to unsubscribe */
  onExit(listener: () => void): () => void;
  /**
   * Has Ctrl-Z stop the process only once `before` has settled, and calls `after`
   * when the process goes on. @returns how to unsubscribe
   */
  onSuspension(before: () => Promise<void>, after: () => void): () => void;
  /** Connects to a server, which is started where none runs, unless it is reached over TCP. */
  connect(server: ServerPlace, options: ConnectOptions): Promise<Procman>;
}
