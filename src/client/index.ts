import type { Procman } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { createNodeTransport, type ServerAddress } from "./node-transport.js";
import { createProcmanClientFromTransport, type ProcmanClientOptions } from "./procman-client.js";

export type * from "../contract/procman.js";
export { type ErrorReason, type FieldViolation, ProcmanError } from "../contract/errors.js";
export type * from "../contract/job.js";
export type { ServerAddress, TlsOptions } from "./node-transport.js";
export {
  createProcmanClientFromTransport,
  type ProcmanClientOptions,
  type TransportClientOptions,
} from "./procman-client.js";
export type { ReconnectOptions } from "./reconnection.js";

/**
 * Makes a client of a procman server, over its unix socket or the network. It connects
 * when it is first used, and again when the connection is lost. Call `close` to release
 * its connections.
 * @throws TypeError for a `baseUrl` that is no URL
 */
export function createProcmanClient(options: ServerAddress & ProcmanClientOptions): Procman {
  const { transport, server, close } = createNodeTransport(options);
  const { reconnect } = options;
  return createProcmanClientFromTransport(transport, {
    server,
    onClose: close,
    ...defined({ reconnect }),
  });
}
