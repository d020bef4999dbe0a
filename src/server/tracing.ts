import { Code, type ConnectError, type HandlerContext } from "@connectrpc/connect";
import type * as OpenTelemetry from "@opentelemetry/api";
import { peerKey } from "./access/peer.js";
import type { CallObserver } from "./call-observer.js";

/** Where every copy of the API, of its major version, finds the SDK that was registered. */
const REGISTERED = Symbol.for("opentelemetry.js.api.1");

/** The codes that are the server's fault, as OpenTelemetry's conventions have it. */
const FAULTS: readonly Code[] = [
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
];

/**
 * Returns what makes a span of each call, where an OpenTelemetry SDK was registered in this
 * process before. Else the API, which would do nothing, is not even loaded.
 */
export async function loadTracing(): Promise<CallObserver | undefined> {
  if (!(REGISTERED in globalThis)) return undefined;
  return traceCalls(await import("@opentelemetry/api"));
}

/** Makes a span of each call, as a part of the trace that its `traceparent` names. */
export function traceCalls(api: typeof OpenTelemetry): CallObserver {
  const { propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api;
  const tracer = trace.getTracer("procman");
  const getter: OpenTelemetry.TextMapGetter<Headers> = {
    keys: (headers) => [...headers.keys()],
    get: (headers, key) => headers.get(key) ?? undefined,
  };
  return (context) => {
    const { service, method, requestHeader, protocolName } = context;
    const parent = propagation.extract(ROOT_CONTEXT, requestHeader, getter);
    const isConnect = protocolName === "connect";
    const attributes = {
      "rpc.system": isConnect ? "connect_rpc" : "grpc",
      "rpc.service": service.typeName,
      "rpc.method": method.name,
      ...peerAttributes(context),
    };
    const name = `${service.typeName}/${method.name}`;
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent);
    return (error) => {
      if (!isConnect) span.setAttribute("rpc.grpc.status_code", error?.code ?? 0);
      if (error) {
        const code = codeName(error);
        if (isConnect) span.setAttribute("rpc.connect_rpc.error_code", code);
        if (FAULTS.includes(error.code)) {
          span.setAttribute("error.type", code);
          span.setStatus({ code: SpanStatusCode.ERROR, message: error.rawMessage });
        }
      }
      span.end();
    };
  };
}

function peerAttributes({ values }: HandlerContext): OpenTelemetry.Attributes {
  const { name } = values.get(peerKey);
  const [, address, port] = /^(.*):(\d+)$/.exec(name) ?? [];
  if (address === undefined) return { "network.transport": "unix" };
  return {
    "network.transport": "tcp",
    "network.peer.address": address,
    "network.peer.port": Number(port),
  };
}

/** Returns the name as Connect spells it: "not_found". */
function codeName({ code }: ConnectError): string {
  return (Code[code] ?? "Unknown").replaceAll(/(?!^)[A-Z]/g, "_$&").toLowerCase();
}
