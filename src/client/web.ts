import { createConnectTransport } from "@connectrpc/connect-web";
import type { Procman } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
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

/** Makes a client for browsers, or any platform with `fetch`. It has the same methods as in Node. */
export function createProcmanClient({ baseUrl, token, reconnect }: WebClientOptions): Procman {
  const transport = createConnectTransport({
    baseUrl,
    interceptors: token === undefined ? [] : [sendToken(token)],
  });
  return createProcmanClientFromTransport(transport, {
    server: baseUrl,
    ...defined({ reconnect }),
  });
}
