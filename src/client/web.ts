import type { Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import type { Procman } from "../contract/procman.js";
import { createProcmanClientFromTransport, type ProcmanClientOptions } from "./procman-client.js";

export type * from "../contract/procman.js";
export { type ErrorReason, type FieldViolation, ProcmanError } from "../contract/errors.js";
export type * from "../contract/job.js";
export type { ReconnectOptions } from "./reconnection.js";

export interface WebClientOptions extends ProcmanClientOptions {
  /** "http://127.0.0.1:7420" or "https://…". The server must allow this page's origin. */
  readonly baseUrl: string;
  /** What `procman token` prints. */
  readonly token?: string;
}

/** A client for browsers, and whatever else has `fetch`: the same methods as in Node. */
export function createProcmanClient({ baseUrl, token, reconnect }: WebClientOptions): Procman {
  const transport = createConnectTransport({
    baseUrl,
    interceptors: token === undefined ? [] : [sendToken(token)],
  });
  return createProcmanClientFromTransport(transport, {
    server: baseUrl,
    ...(reconnect === undefined ? {} : { reconnect }),
  });
}

function sendToken(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
}
