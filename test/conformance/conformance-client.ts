import type { JsonObject } from "@bufbuild/protobuf";

/** The RPCs by their names in the contract. */
export type Method =
  | "Start"
  | "Get"
  | "List"
  | "Attach"
  | "ReadOutput"
  | "Watch"
  | "Wait"
  | "WatchJobs"
  | "Signal"
  | "Cancel"
  | "Restart"
  | "RenewLease"
  | "SendInput"
  | "ResizeWindow"
  | "Remove"
  | "CancelJobs"
  | "SignalJobs"
  | "RemoveJobs"
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

/** What a scenario may ask of a client that not every one can do. */
export type Need =
  /** It has to send a token at all. */
  | "token"
  /** It tells the server its deadline. */
  | "deadline"
  /** Its calls share a connection, which is there before them. */
  | "lasting connection";

/**
 * A client of one kind on one way to the server, reduced to JSON in the
 * contract's names. `call` and `stream` fail with CallError.
 */
export interface ConformanceClient extends Caller {
  readonly kind: string;
  readonly over: Way;
  readonly lacks: ReadonlySet<Need>;
  close(): Promise<void>;
}

export interface Caller {
  call(method: Method, request: JsonObject, options?: CallOptions): Promise<JsonObject>;
  /** Reads no further than it is asked for, but for what its libraries hold. */
  stream(method: Method, request: JsonObject, options?: CallOptions): AsyncIterable<JsonObject>;
}

export type Way = "TCP" | "unix socket" | "TLS" | "mTLS";

/** How to reach a server under test. */
export interface Target {
  readonly over: Way;
  /** Over a unix socket the host is for the Host header only. */
  readonly baseUrl: string;
  /** Where one is asked for. */
  readonly token?: string;
  readonly socketPath?: string;
  readonly tls?: TlsPaths;
}

/** Of PEM files. */
export interface TlsPaths {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

/** "127.0.0.1:7420" or "unix:/path", as gRPC's libraries want it. */
export function grpcAddress({ baseUrl, socketPath }: Target): string {
  return socketPath === undefined ? new URL(baseUrl).host : `unix:${socketPath}`;
}

/** What a client lacks: of its own, and because it is not asked for its token. */
export function lacks(target: Target, ...more: readonly Need[]): ReadonlySet<Need> {
  return new Set(target.token === undefined ? [...more, "token"] : more);
}

/** The headers that carry the token. */
export function authorization(target: Target, options: CallOptions): Record<string, string> {
  const token = options.token ?? target.token;
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}
