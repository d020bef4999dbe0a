import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import type { JsonValue } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import type { Procman } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import {
  checkBaseUrl,
  checkIsObject,
  checkOptions,
  checkReconnect,
  checkToken,
} from "./client-options.js";
import {
  createProcmanClientFromTransport,
  type ProcmanClientOptions,
  sendToken,
} from "./procman-client.js";

export type * from "../contract/procman.js";
export { type ErrorReason, type FieldViolation, ProcmanError } from "../contract/errors.js";
export type * from "../contract/job.js";
export type { ReconnectOptions } from "./reconnection.js";

export interface WebClientOptions extends ProcmanClientOptions {
  /** "http://127.0.0.1:7420" or "https://…". The server must allow this page's origin. */
  readonly baseUrl: string;
  /** The server's token, which `procman token` prints. */
  readonly token?: string;
}

/**
 * Makes a client for browsers, or any platform with `fetch`. It has the same methods as in Node.
 * @throws ProcmanError INVALID_ARGUMENT with a violation for each option that is wrong
 */
export function createProcmanClient(options: WebClientOptions): Procman {
  checkOptions((violations) => {
    checkIsObject(options, violations);
    checkBaseUrl(options.baseUrl, violations);
    checkToken(options.token, violations);
    checkReconnect(options.reconnect, violations);
  });
  const { baseUrl, token, reconnect } = options;
  const transport = createConnectTransport({
    baseUrl,
    fetch: explainingFetch(baseUrl),
    interceptors: token === undefined ? [] : [sendToken(token)],
  });
  return createProcmanClientFromTransport(transport, {
    server: baseUrl,
    ...defined({ reconnect }),
  });
}

/**
 * Returns a `fetch` that fails with the server's reason where it refuses this page. Browsers
 * tell a page only that a call failed; why is to be read at /healthz.
 */
function explainingFetch(baseUrl: string): typeof fetch {
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (error) {
      throw (await findRefusal(baseUrl, init?.signal)) ?? error;
    }
  };
}

/** Returns why the server refuses this page; undefined where it does not, or is out of reach. */
async function findRefusal(
  baseUrl: string,
  signal: AbortSignal | null | undefined,
): Promise<ConnectError | undefined> {
  if (signal?.aborted) return undefined;
  try {
    const url = `${baseUrl.replace(/\/+$/, "")}/healthz`;
    const response = await fetch(url, { cache: "no-store", signal: signal ?? null });
    if (response.ok) return undefined;
    const fallback = new ConnectError("", Code.Unavailable);
    const error = errorFromJson((await response.json()) as JsonValue, undefined, fallback);
    return error.findDetails(ErrorInfoSchema).length > 0 ? error : undefined;
  } catch {
    return undefined;
  }
}
