import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { measureCalls, type Run } from "./callers.js";
import type { Target } from "./follow.js";
import { GrpcClient } from "./grpc-client.js";
import type { Scratch } from "./scratch.js";

const PROGRAM = fileURLToPath(import.meta.url);

/** Beyond it a call at its time is left out, and counted as such. */
const MAX_IN_FLIGHT = 200;

/** Unary calls over gRPC to one server, all loops at the same time on one connection. */
export interface CallOrder {
  readonly target: Pick<Target, "authority" | "token">;
  readonly loops: readonly CallLoop[];
}

export interface CallLoop {
  readonly path: string;
  /** Encoded, in base64; they are sent in turns. */
  readonly requests: readonly string[];
  readonly pace: Pace;
}

export type Pace =
  /** So many callers, each of whom waits for an answer before the next call. */
  | { readonly kind: "callers"; readonly callers: number; readonly count: number }
  /** One call at each time, whether or not those before were answered, until told to stop. */
  | { readonly kind: "every"; readonly ms: number };

export interface LoopRun extends Run {
  readonly leftOut: number;
}

type ToWorker = { readonly kind: "call"; readonly order: CallOrder } | { readonly kind: "stop" };

type FromWorker =
  | { readonly kind: "results"; readonly results: readonly LoopRun[] }
  | { readonly kind: "failed"; readonly message: string };

/** A process of its own that makes calls, so that the one that measures something else is not in their way. */
export class CallWorker {
  readonly #child: ChildProcess;
  readonly #exited: Promise<never>;

  constructor(scratch: Scratch) {
    this.#child = scratch.child(fork(PROGRAM, [], { stdio: "inherit" }));
    this.#exited = once(this.#child, "exit").then(() => {
      throw new Error("the process that calls has ended");
    });
    // It ends with the benchmark, when nobody waits for it any more.
    this.#exited.catch(() => {});
  }

  /** Makes the calls. Those at fixed times go on until `during` has resolved. */
  async call(order: CallOrder, during?: () => Promise<unknown>): Promise<readonly LoopRun[]> {
    const answer = this.#answer();
    this.#send({ kind: "call", order });
    if (during) {
      await Promise.race([during(), answer]);
      this.#send({ kind: "stop" });
    }
    return answer;
  }

  async callInOneLoop(target: CallOrder["target"], loop: CallLoop): Promise<LoopRun> {
    const [run] = await this.call({ target, loops: [loop] });
    return run as LoopRun;
  }

  async #answer(): Promise<readonly LoopRun[]> {
    const answered = once(this.#child, "message") as Promise<[FromWorker]>;
    const [message] = await Promise.race([answered, this.#exited]);
    if (message.kind === "failed") throw new Error(`calling: ${message.message}`);
    return message.results;
  }

  #send(message: ToWorker): void {
    this.#child.send(message);
  }
}

async function makeCalls(
  { target, loops }: CallOrder,
  stopped: AbortSignal,
): Promise<readonly LoopRun[]> {
  const client = clientOf(target);
  return Promise.all(
    loops.map(async ({ path, requests, pace }) => {
      const encoded = requests.map((text) => Buffer.from(text, "base64"));
      let next = 0;
      const call = () => client.callBytes(path, encoded[next++ % encoded.length] as Buffer);
      if (pace.kind === "callers") return { ...(await measureCalls(pace, call)), leftOut: 0 };
      return callAtTimes(pace.ms, call, stopped);
    }),
  );
}

async function callAtTimes(
  everyMs: number,
  call: () => Promise<unknown>,
  stopped: AbortSignal,
): Promise<LoopRun> {
  const latenciesMs: number[] = [];
  const inFlight = new Set<Promise<void>>();
  let leftOut = 0;
  const callOnce = async () => {
    const callMs = performance.now();
    await call();
    latenciesMs.push(performance.now() - callMs);
  };
  const startMs = performance.now();
  await new Promise<void>((resolve, reject) => {
    let calls = 0;
    const timer = setInterval(() => {
      // As many as are due by now, since a timer may come late.
      for (; startMs + calls * everyMs <= performance.now(); calls += 1) {
        if (inFlight.size >= MAX_IN_FLIGHT) {
          leftOut += 1;
          continue;
        }
        const calling = callOnce().catch(reject);
        inFlight.add(calling);
        void calling.finally(() => inFlight.delete(calling));
      }
    }, 1);
    stopped.addEventListener("abort", () => {
      clearInterval(timer);
      resolve();
    });
  });
  await Promise.all(inFlight);
  return { seconds: (performance.now() - startMs) / 1000, latenciesMs, leftOut };
}

/** Connections are kept from one order to the next. */
const clients = new Map<string, GrpcClient>();

function clientOf(target: CallOrder["target"]): GrpcClient {
  const client = clients.get(target.authority) ?? new GrpcClient(target);
  clients.set(target.authority, client);
  return client;
}

function serveOrders(): void {
  let stop = new AbortController();
  const reply = (message: FromWorker) => process.send?.(message);
  process.on("message", (message: ToWorker) => {
    if (message.kind === "stop") return stop.abort();
    stop = new AbortController();
    makeCalls(message.order, stop.signal).then(
      (results) => reply({ kind: "results", results }),
      (error: Error) => reply({ kind: "failed", message: error.message }),
    );
  });
  process.once("disconnect", () => process.exit(0));
}

if (process.argv[1] === PROGRAM) serveOrders();
