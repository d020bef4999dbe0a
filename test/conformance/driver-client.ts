import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { JsonObject } from "@bufbuild/protobuf";
import { CallError, type ErrorFacts } from "./call-error.js";
import {
  authorization,
  type CallOptions,
  type ConformanceClient,
  grpcAddress,
  lacks,
  type Method,
  type Need,
  type Target,
} from "./conformance-client.js";

/**
 * What a driver, a small program in another language, is asked: to make a call,
 * for the next event of a stream, or to leave. It answers a unary call and each
 * `next` once, and nothing else; in between it reads nothing.
 */
export type Ask =
  | {
      readonly id: number;
      readonly method: Method;
      readonly request: JsonObject;
      readonly metadata: Record<string, string>;
      readonly deadline?: number;
    }
  | { readonly id: number; readonly next: true }
  | { readonly id: number; readonly leave: true };

export type Answer =
  | { readonly id: number; readonly message: JsonObject }
  | { readonly id: number; readonly done: true }
  | { readonly id: number; readonly error: ErrorFacts };

/** The way to a driver, and back. */
export interface DriverLine {
  /** Rejects where the driver ends before its time. */
  readonly ended?: Promise<never>;
  ask(ask: Ask): void;
  onAnswer(listener: (answer: Answer) => void): void;
  close(): Promise<void>;
}

export function driverClient(
  kind: string,
  target: Target,
  line: DriverLine,
  ...needs: readonly Need[]
): ConformanceClient {
  const waiting = new Map<number, (answer: Answer) => void>();
  let lastId = 0;
  line.onAnswer((answer) => waiting.get(answer.id)?.(answer));
  const exchange = async (ask: Ask): Promise<JsonObject | undefined> => {
    const answered = new Promise<Answer>((resolve) => {
      waiting.set(ask.id, resolve);
      line.ask(ask);
    });
    const answer = await Promise.race([answered, ...(line.ended ? [line.ended] : [])]);
    waiting.delete(ask.id);
    if ("error" in answer) throw new CallError(answer.error);
    return "message" in answer ? answer.message : undefined;
  };
  const callFor = (method: Method, request: JsonObject, options: CallOptions): Ask => {
    const { deadlineMs } = options;
    const metadata = authorization(target, options);
    const deadline = deadlineMs === undefined ? {} : { deadline: deadlineMs / 1000 };
    return { id: ++lastId, method, request, metadata, ...deadline };
  };
  return {
    kind,
    over: target.over,
    lacks: lacks(target, ...needs),
    call: async (method, request, options = {}) =>
      (await exchange(callFor(method, request, options))) ?? {},
    async *stream(method, request, options = {}) {
      const ask = callFor(method, request, options);
      const { id } = ask;
      const leave = () => line.ask({ id, leave: true });
      options.signal?.addEventListener("abort", leave);
      line.ask(ask);
      try {
        for (;;) {
          const message = await exchange({ id, next: true });
          if (!message) return;
          yield message;
        }
      } finally {
        options.signal?.removeEventListener("abort", leave);
        leave();
      }
    },
    close: () => line.close(),
  };
}

/** A driver as a process, with a line of JSON for each ask and answer. It is told the target as JSON. */
export function driverProcess(
  words: readonly [string, ...string[]],
  target: Target,
  env: Record<string, string> = {},
): DriverLine {
  const [program, ...args] = words;
  const address = grpcAddress(target);
  const child: ChildProcess = spawn(
    program,
    [...args, JSON.stringify({ address, ...target.tls })],
    { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] },
  );
  child.stdin?.on("error", () => {});
  const ended = once(child, "exit").then(() => {
    throw new Error(`the driver ended: ${words.join(" ")}`);
  });
  ended.catch(() => {});
  return {
    ended,
    ask: (ask) => void child.stdin?.write(`${JSON.stringify(ask)}\n`),
    onAnswer: (listener) => {
      if (!child.stdout) return;
      createInterface(child.stdout).on("line", (line) => listener(JSON.parse(line) as Answer));
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}
