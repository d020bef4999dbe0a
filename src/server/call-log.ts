import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import { toConnectError } from "../wire/error-map.js";
import { peerKey } from "./access/peer.js";

type AnyUnary = (request: unknown, context: HandlerContext) => Promise<unknown>;
type AnyStreaming = (request: unknown, context: HandlerContext) => AsyncIterable<unknown>;

/**
 * The same service, which logs each call when it is over: never its arguments,
 * which may hold secrets. Faults of procman's own are logged with what caused
 * them, which clients are not told.
 */
export function logCalls<Service extends DescService>(
  service: Service,
  implementation: ServiceImpl<Service>,
  logger: Logger,
): ServiceImpl<Service> {
  const logged: Record<string, AnyUnary | AnyStreaming> = {};
  for (const [name, method] of Object.entries(service.method)) {
    const handler: unknown = implementation[name as keyof Service["method"]];
    switch (method.methodKind) {
      case "unary":
        logged[name] = logUnary(handler as AnyUnary, logger);
        break;
      case "server_streaming":
        logged[name] = logStreaming(handler as AnyStreaming, logger);
        break;
      case "client_streaming":
      case "bidi_streaming":
        throw new Error(`${service.typeName}.${method.name}: client streams are not supported`);
    }
  }
  return logged as ServiceImpl<Service>;
}

function logUnary(handler: AnyUnary, logger: Logger): AnyUnary {
  return async (request, context) => {
    const finish = callStarted(context, logger);
    try {
      const response = await handler(request, context);
      finish();
      return response;
    } catch (error) {
      finish(error);
      throw error;
    }
  };
}

function logStreaming(handler: AnyStreaming, logger: Logger): AnyStreaming {
  return async function* (request, context) {
    const finish = callStarted(context, logger);
    // Nobody resumes the generator of a client that left while its connection was full.
    const { signal } = context;
    const abandon = () => finish(toConnectError(signal.reason, signal));
    signal.addEventListener("abort", abandon, { once: true });
    try {
      yield* handler(request, context);
      finish();
    } catch (error) {
      finish(error);
      throw error;
    }
  };
}

/** Returns what to call, once, when the call is over. */
function callStarted(context: HandlerContext, logger: Logger): (error?: unknown) => void {
  const startMs = performance.now();
  let finished = false;
  return (error) => {
    if (finished) return;
    finished = true;
    const code = error === undefined ? "OK" : Code[codeOf(error)];
    const fields = {
      method: context.method.name,
      protocol: context.protocolName,
      peer: context.values.get(peerKey).name,
      code,
      ms: Math.round((performance.now() - startMs) * 10) / 10,
    };
    if (error !== undefined && isOwnFault(codeOf(error))) {
      logger.error({ ...fields, err: causeOf(error) }, "a call failed unexpectedly");
    } else {
      logger.debug(fields, "call");
    }
  };
}

function codeOf(error: unknown): Code {
  return ConnectError.from(error).code;
}

function isOwnFault(code: Code): boolean {
  return code === Code.Internal || code === Code.Unknown;
}

function causeOf(error: unknown): unknown {
  return error instanceof ConnectError ? (error.cause ?? error) : error;
}
