import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextValues,
  type ContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { Metadata, ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { type Peer, peerKey } from "../access/peer.js";

/** The one error for all calls: making an error takes longer than most calls. */
const CALL_IS_OVER = new ConnectError("the call is over", Code.Canceled);

export type GrpcCall =
  | ServerUnaryCall<Uint8Array, Uint8Array>
  | ServerWritableStream<Uint8Array, Uint8Array>;

/** The context that a handler is given of a call that came over gRPC. */
export class GrpcContext implements HandlerContext {
  readonly method: DescMethod;
  readonly protocolName = "grpc";
  readonly requestMethod = "POST";
  readonly values: ContextValues;
  readonly #call: GrpcCall;
  readonly #closing: AbortSignal;
  /** Made when somebody asks for the signal: what is answered at once needs none. */
  #controller: AbortController | undefined;
  #isOver = false;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(method: DescMethod, call: GrpcCall, closing: AbortSignal) {
    this.method = method;
    this.#call = call;
    this.#closing = closing;
    this.values = createContextValues().set(peerKey, peerOfCall(call));
    // It is emitted also after the end.
    call.on("cancelled", () => this.#cancel());
  }

  get service() {
    return this.method.parent;
  }

  get url(): string {
    return `http://${this.#call.getHost()}${this.#call.getPath()}`;
  }

  /** Aborted when the client leaves, the deadline passes, the server closes, or the call is over. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = createLinkedAbortController(this.#closing);
      if (this.#call.cancelled) this.#cancel();
      if (this.#isOver) this.#controller.abort(CALL_IS_OVER);
    }
    return this.#controller.signal;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= headersOf(this.#call.metadata);
    return this.#requestHeader;
  }

  timeoutMs(): number | undefined {
    const deadlineMs = Number(this.#call.getDeadline());
    return Number.isFinite(deadlineMs) ? deadlineMs - Date.now() : undefined;
  }

  /** Lets go of the server's closing signal. Call it when the call is over. */
  end(): void {
    this.#isOver = true;
    this.#controller?.abort(CALL_IS_OVER);
  }

  #cancel(): void {
    const controller = this.#controller;
    if (controller && !controller.signal.aborted) controller.abort(this.#cancelReason());
  }

  #cancelReason(): ConnectError {
    const leftMs = this.timeoutMs();
    // Timers are a millisecond early at times.
    return leftMs !== undefined && leftMs <= 1
      ? new ConnectError("the operation timed out", Code.DeadlineExceeded)
      : new ConnectError("the client canceled the call", Code.Canceled);
  }
}

/** grpc-js calls a peer without an IP address "unknown". */
function peerOfCall(call: GrpcCall): Peer {
  const name = call.getPeer();
  return { name: name === "unknown" ? "unix socket" : name };
}

function headersOf(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const key of Object.keys(metadata.getMap())) {
    for (const value of metadata.get(key)) {
      headers.append(key, typeof value === "string" ? value : value.toString("base64"));
    }
  }
  return headers;
}
