import { EventEmitter, getEventListeners } from "node:events";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import {
  AttachRequestSchema,
  GetRequestSchema,
  GetResponseSchema,
  ProcmanService,
} from "../../../gen/procman/v1/procman_pb.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import { adaptService } from "../../../src/server/grpc/adapt-service.js";
import { eventually } from "../../helpers/eventually.js";

/** A call as grpc-js gives it to a handler. */
class FakeCall<Schema extends DescMessage> extends EventEmitter {
  readonly request: Uint8Array;
  readonly metadata = new Metadata();
  cancelled = false;
  readonly written: Uint8Array[] = [];
  ended = false;
  failure: { readonly code: number } | undefined;
  readonly #deadline: Date | number;

  constructor(schema: Schema, request: MessageShape<Schema>, deadline: Date | number = Infinity) {
    super();
    this.request = toBinary(schema, request);
    this.#deadline = deadline;
    this.on("error", (error: ServiceError) => {
      this.failure = error;
    });
  }

  getPeer = () => "unknown";
  getHost = () => "localhost";
  getPath = () => "/x";
  getDeadline = () => this.#deadline;

  write(message: Uint8Array, written: () => void): void {
    this.written.push(message);
    written();
  }

  end(): void {
    this.ended = true;
  }
}

function setUp(implementation: Partial<ServiceImpl<typeof ProcmanService>>) {
  const closing = new AbortController();
  const service = implementation as ServiceImpl<typeof ProcmanService>;
  const { handlers } = adaptService(ProcmanService, service, closing.signal);
  const listeners = () => getEventListeners(closing.signal, "abort").length;
  type Handler = (call: unknown, callback?: (error: unknown, bytes: Uint8Array) => void) => void;
  return { closing, listeners, handlers: handlers as unknown as Record<string, Handler> };
}

const getCall = () => new FakeCall(GetRequestSchema, create(GetRequestSchema, { id: "a" }));
const attachCall = (deadline?: Date) =>
  new FakeCall(AttachRequestSchema, create(AttachRequestSchema, { id: "a" }), deadline);

test("a call leaves nothing on the closing signal, whatever became of it", async () => {
  const { handlers, listeners } = setUp({
    get: ({ id }, { signal }) => ({ job: { id: signal.aborted ? "" : id } }),
    async *attach() {
      yield {};
    },
    // oxlint-disable-next-line require-yield
    async *watch() {
      throw new ProcmanError("JOB_NOT_FOUND", "no");
    },
  });
  const answer = await new Promise<Uint8Array>((resolve) => {
    handlers["get"]!(getCall(), (_error, bytes) => resolve(bytes));
    expect(listeners()).toBe(1);
  });
  expect(fromBinary(GetResponseSchema, answer).job?.id).toBe("a");
  const attach = attachCall();
  handlers["attach"]!(attach);
  await eventually("its end", () => attach.ended);
  const watch = attachCall();
  handlers["watch"]!(watch);
  await eventually("its failure", () => watch.failure);
  expect(watch.failure).toMatchObject({ code: Code.NotFound, details: "no" });
  await eventually("no listeners", () => listeners() === 0);
});

test("a call whose handler asks for no signal listens to nothing, and a signal it asks for late is aborted", async () => {
  const contexts: HandlerContext[] = [];
  const { handlers, listeners } = setUp({
    get: ({ id }, context) => {
      contexts.push(context);
      return { job: { id } };
    },
  });
  await new Promise((resolve) => {
    handlers["get"]!(getCall(), resolve);
    expect(listeners()).toBe(0);
  });
  await eventually("its end", () => contexts[0]?.signal.aborted);
  expect(listeners()).toBe(0);

  const cancelled = getCall();
  cancelled.cancelled = true;
  handlers["get"]!(cancelled, () => {});
  expect(contexts[1]?.signal.reason).toMatchObject({ code: Code.Canceled });
});

test("a call's signal says why it is over", async () => {
  const contexts: HandlerContext[] = [];
  const { handlers, closing } = setUp({
    async *attach(_request, context) {
      contexts.push(context);
      yield {};
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      context.signal.throwIfAborted();
    },
  });
  const begin = async (call: FakeCall<typeof AttachRequestSchema>) => {
    handlers["attach"]!(call);
    await eventually("its first message", () => call.written.length === 1 || call.cancelled);
    return call;
  };
  const left = await begin(attachCall());
  left.emit("cancelled");
  await eventually("its failure", () => left.failure?.code === Code.Canceled);

  const late = await begin(attachCall(new Date(Date.now() - 1)));
  late.emit("cancelled");
  await eventually("its failure", () => late.failure?.code === Code.DeadlineExceeded);

  const open = await begin(attachCall(new Date(Date.now() + 60_000)));
  expect(contexts.at(-1)?.timeoutMs()).toBeGreaterThan(50_000);
  expect(contexts.at(-1)?.timeoutMs()).toBeLessThanOrEqual(60_000);
  closing.abort(new ProcmanError("SHUTTING_DOWN", "closing"));
  await eventually("its failure", () => open.failure?.code === Code.Unavailable);
  // What comes after the end changes nothing.
  open.emit("cancelled");
  expect(contexts.at(-1)?.signal.reason).toMatchObject({ reason: "SHUTTING_DOWN" });
});

test("a call that was cancelled before it began is told so", async () => {
  let signal: AbortSignal | undefined;
  const { handlers } = setUp({
    get: (_request, context) => {
      ({ signal } = context);
      return {};
    },
  });
  const call = getCall();
  call.cancelled = true;
  handlers["get"]!(call, () => {});
  await eventually("the call", () => signal);
  expect(signal?.reason).toMatchObject({ code: Code.Canceled });
});

test("handlers are told the headers as they came, binary ones as text", async () => {
  let headers: Headers | undefined;
  const { handlers } = setUp({
    get: (_request, context) => {
      headers = context.requestHeader;
      return {};
    },
  });
  const call = getCall();
  call.metadata.set("x-trace", "1");
  call.metadata.set("x-bytes-bin", Buffer.of(0, 255));
  handlers["get"]!(call, () => {});
  await eventually("the call", () => headers);
  expect(headers?.get("x-trace")).toBe("1");
  expect(headers?.get("x-bytes-bin")).toBe("AP8=");
});
