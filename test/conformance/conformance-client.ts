import type { JsonObject } from "@bufbuild/protobuf";

/** The RPCs by their names in the contract. */
export type Method =
  | "Start"
  | "Get"
  | "List"
  | "Attach"
  | "Watch"
  | "Wait"
  | "WatchJobs"
  | "Signal"
  | "Cancel"
  | "Remove"
  | "Cleanup"
  | "Refresh";

export interface CallOptions {
  /** Sent instead of the right one. */
  readonly token?: string;
  /** The client's own deadline. */
  readonly deadlineMs?: number;
  /** The client leaves. */
  readonly signal?: AbortSignal;
}

/** An error as a client can tell it, whatever its library. */
export class CallError extends Error {
  override readonly name = "CallError";

  /**
   * @param code as in google.rpc.Code: "NOT_FOUND"
   * @param reason of ErrorInfo, where the client can read details
   */
  constructor(
    readonly code: string,
    readonly reason: string | undefined,
    readonly domain: string | undefined,
    readonly fields: readonly string[],
    message: string,
  ) {
    super(message);
  }
}

/**
 * A client of one kind, reduced to JSON in the contract's names. `call` and
 * `stream` fail with CallError.
 */
export interface ConformanceClient {
  readonly name: string;
  /** What it cannot do by its nature, with why. */
  readonly cannot?: Readonly<Partial<Record<string, string>>>;
  call(method: Method, request: JsonObject, options?: CallOptions): Promise<JsonObject>;
  stream(method: Method, request: JsonObject, options?: CallOptions): AsyncIterable<JsonObject>;
  close(): Promise<void>;
}

/** How to reach the server under test. */
export interface Target {
  readonly baseUrl: string;
  readonly token: string;
  readonly socketPath: string;
}
