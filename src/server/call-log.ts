import { Code, type ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import { peerKey } from "./access/peer.js";

/**
 * Returns what to call when a call is over, with what it failed with. It is then
 * logged: never its arguments, which may hold secrets. Faults of procman's own are
 * logged with what caused them, which clients are not told.
 */
export function startCallLog(
  context: HandlerContext,
  logger: Logger,
): (error?: ConnectError) => void {
  const startMs = performance.now();
  return (error) => {
    const fields = {
      method: context.method.name,
      protocol: context.protocolName,
      peer: context.values.get(peerKey).name,
      code: error ? Code[error.code] : "OK",
      ms: Math.round((performance.now() - startMs) * 10) / 10,
    };
    if (error && isOwnFault(error.code)) {
      logger.error({ ...fields, err: error.cause ?? error }, "a call failed unexpectedly");
    } else {
      logger.debug(fields, "call");
    }
  };
}

function isOwnFault(code: Code): boolean {
  return code === Code.Internal || code === Code.Unknown;
}
