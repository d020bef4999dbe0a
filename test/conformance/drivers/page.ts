import type { JsonObject } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import type { CallError } from "../call-error.js";
import { connectCaller } from "../connect-caller.js";
import type { Answer, Ask } from "../driver-client.js";

/** What the page lends to the test, and the test to the page. */
declare global {
  interface Window {
    use(protocol: BrowserProtocol, baseUrl: string): void;
    ask(ask: Ask): void;
    answer(answer: Answer): void;
  }
}

export type BrowserProtocol = "Connect" | "gRPC-Web";

interface Stream {
  readonly leave: AbortController;
  readonly events: AsyncIterator<JsonObject>;
}

const STREAMS: ReadonlySet<string> = new Set(["Attach", "Watch", "WatchJobs"]);
const streams = new Map<number, Stream>();
let transport: Transport;

window.use = (protocol, baseUrl) => {
  const create = protocol === "Connect" ? createConnectTransport : createGrpcWebTransport;
  transport = create({ baseUrl });
};

window.ask = (ask) => {
  if ("method" in ask) begin(ask);
  else if ("leave" in ask) streams.get(ask.id)?.leave.abort();
  else void answer(ask.id, streams.get(ask.id)?.events.next());
};

function begin({ id, method, request, metadata, deadline }: Extract<Ask, { method: unknown }>) {
  const caller = connectCaller(transport, () => metadata);
  const leave = new AbortController();
  const options = {
    signal: leave.signal,
    ...(deadline === undefined ? {} : { deadlineMs: deadline * 1000 }),
  };
  if (STREAMS.has(method)) {
    const events = caller.stream(method, request, options)[Symbol.asyncIterator]();
    streams.set(id, { leave, events });
  } else {
    const value = caller.call(method, request, options);
    void answer(
      id,
      value.then((value) => ({ value })),
    );
  }
}

async function answer(id: number, pending: Promise<IteratorResult<JsonObject>> | undefined) {
  try {
    const result = await pending;
    if (!result || result.done) window.answer({ id, done: true });
    else window.answer({ id, message: result.value });
  } catch (error) {
    const { code, message, reason, domain, jobId, fields } = error as CallError;
    window.answer({ id, error: { code, message, reason, domain, jobId, fields } });
  }
}
