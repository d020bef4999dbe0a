import type { Procman } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { checkIsObject, checkOptions, checkReconnect } from "./client-options.js";
import { createNodeTransport, type ServerAddress } from "./node-transport.js";
import { createProcmanClientFromTransport, type ProcmanClientOptions } from "./procman-client.js";

export type * from "../contract/procman.js";
export { type ErrorReason, type FieldViolation, ProcmanError } from "../contract/errors.js";
export type * from "../contract/job.js";
export { keepLease } from "../contract/keep-lease.js";
export { run, type RunOptions } from "../contract/run.js";
export type { ServerAddress, TlsOptions } from "./node-transport.js";
export {
  createProcmanClientFromTransport,
  type ProcmanClientOptions,
  type TransportClientOptions,
} from "./procman-client.js";
export type { ReconnectOptions } from "./reconnection.js";

/**
 * Makes a client of a procman server, over its unix socket or the network; without an
 * address, over the socket of the default state directory. It connects when it is first
 * used, and again when the connection is lost. Call `close` to release its connections.
 * @throws ProcmanError INVALID_ARGUMENT with a violation for each option that is wrong
 */
export function createProcmanClient(options: ServerAddress & ProcmanClientOptions = {}): Procman {
  checkOptions((violations) => {
    checkIsObject(options, violations);
    checkReconnect(options.reconnect, violations);
  });
  const { transport, server, close } = createNodeTransport(options);
  const { reconnect } = options;
  return createProcmanClientFromTransport(transport, {
    server,
    onClose: close,
    ...defined({ reconnect }),
  });
}
