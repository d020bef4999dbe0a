import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fromBinary, type JsonObject } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import {
  CallError,
  type CallOptions,
  type ConformanceClient,
  type Method,
  type Target,
} from "./conformance-client.js";

const SERVICE = "procman.v1.ProcmanService";
const ROOT = join(import.meta.dirname, "../..");

/** An error in Connect's JSON, which buf curl prints for every protocol. */
interface JsonError {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

/** curl, with Connect's JSON: unary calls, and streams by their five-byte envelopes. */
export function curlClients(target: Target): ConformanceClient[] {
  return [
    curlClient("curl", target, []),
    curlClient("curl, unix socket", target, ["--unix-socket", target.socketPath]),
  ];
}

function curlClient(name: string, target: Target, words: readonly string[]): ConformanceClient {
  const isLocal = words.length > 0;
  const base = isLocal ? "http://localhost" : target.baseUrl;
  const run = (method: Method, contentType: string, options: CallOptions) => {
    const { token = target.token, deadlineMs } = options;
    const headers = [`Content-Type: ${contentType}`, "Connect-Protocol-Version: 1"];
    if (!isLocal) headers.push(`Authorization: Bearer ${token}`);
    if (deadlineMs !== undefined) headers.push(`Connect-Timeout-Ms: ${deadlineMs}`);
    return launch(
      "curl",
      [
        "-sN",
        ...words,
        ...headers.flatMap((header) => ["-H", header]),
        "--data-binary",
        "@-",
        `${base}/${SERVICE}/${method}`,
      ],
      options.signal,
    );
  };
  return {
    name,
    ...(isLocal ? { cannot: { "wrong token": "the unix socket asks for none" } } : {}),
    async call(method, request, options = {}) {
      const child = run(method, "application/json", options);
      child.stdin.end(JSON.stringify(request));
      const answer = JSON.parse((await child.stdout.toArray()).join("") || "{}") as JsonObject;
      // The fields of an error; no response has them.
      if (typeof answer["code"] === "string") throw fromJsonError(answer as unknown as JsonError);
      return answer;
    },
    async *stream(method, request, options = {}) {
      const child = run(method, "application/connect+json", options);
      child.stdin.end(envelope(JSON.stringify(request)));
      try {
        let ended = false;
        for await (const { flags, text } of envelopes(child.stdout)) {
          const message = JSON.parse(text) as JsonObject;
          ended = (flags & 2) !== 0;
          if (!ended) yield message;
          else if (message["error"]) throw fromJsonError(message["error"] as unknown as JsonError);
        }
        if (!ended) throw new CallError("UNAVAILABLE", undefined, undefined, [], "cut off");
      } finally {
        child.kill();
      }
    },
    close: async () => {},
  };
}

/** buf curl, from npm: a client in Go. Over gRPC with reflection, or Connect with the schema. */
export function bufCurlClients(target: Target): ConformanceClient[] {
  const token = (options: CallOptions) => [
    "-H",
    `Authorization: Bearer ${options.token ?? target.token}`,
  ];
  // Headers of the call are not sent with the questions of reflection.
  const reflection = ["--reflect", "--reflect-header", `Authorization: Bearer ${target.token}`];
  const schema = ["--schema", join(ROOT, "proto")];
  const deadline = "buf curl sends no deadline";
  const local = { "wrong token": "the unix socket asks for none" };
  const key = "a deadline ends a call and a stream";
  return [
    bufCurlClient(
      "buf curl, gRPC with reflection",
      target.baseUrl,
      ["--protocol", "grpc", "--http2-prior-knowledge", ...reflection],
      token,
      { [key]: deadline },
    ),
    bufCurlClient(
      "buf curl, Connect",
      target.baseUrl,
      ["--protocol", "connect", ...schema],
      token,
      { [key]: deadline },
    ),
    bufCurlClient(
      "buf curl, gRPC-Web, unix socket",
      "http://localhost",
      ["--protocol", "grpcweb", ...schema, "--unix-socket", target.socketPath],
      () => [],
      { [key]: deadline, ...local },
    ),
  ];
}

function bufCurlClient(
  name: string,
  base: string,
  words: readonly string[],
  more: (options: CallOptions) => string[],
  cannot: Record<string, string>,
): ConformanceClient {
  const program = bufProgram();
  async function* messages(method: Method, request: JsonObject, options: CallOptions) {
    const args = ["curl", ...words, ...more(options), "-d", "@-", `${base}/${SERVICE}/${method}`];
    const child = launch(program, args, options.signal);
    child.stdin.end(JSON.stringify(request));
    const complaint = child.stderr.toArray();
    const closed = once(child, "close");
    try {
      yield* jsonObjects(child.stdout);
      const [code] = (await closed) as [number | null];
      if (code !== 0) throw fromJsonError(errorIn((await complaint).join("")));
    } finally {
      child.kill();
    }
  }
  return {
    name,
    cannot,
    async call(method, request, options = {}) {
      for await (const answer of messages(method, request, options)) return answer;
      return {};
    },
    stream: (method, request, options = {}) => messages(method, request, options),
    close: async () => {},
  };
}

/** The program itself: npm's wrapper does not pass on the signal that ends it. */
function bufProgram(): string {
  const packages = join(ROOT, "node_modules/@bufbuild");
  const platform = readdirSync(packages).find((name) => name.startsWith("buf-"));
  if (platform === undefined) throw new Error(`${packages} has no buf for this platform`);
  return join(packages, platform, "bin/buf");
}

function launch(
  program: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): ChildProcessByStdio<Writable, Readable, Readable> {
  // Not in a module of buf, whose schema it would take instead of asking the server.
  const child = spawn(program, args, { cwd: tmpdir(), stdio: "pipe" });
  child.stdin.on("error", () => {});
  signal?.addEventListener("abort", () => child.kill());
  return child;
}

function envelope(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

async function* envelopes(stream: Readable): AsyncGenerator<{ flags: number; text: string }> {
  let held = Buffer.alloc(0);
  for await (const data of stream) {
    held = Buffer.concat([held, data as Buffer]);
    while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
      const end = 5 + held.readUInt32BE(1);
      yield { flags: held[0] as number, text: held.subarray(5, end).toString() };
      held = held.subarray(end);
    }
  }
}

/** Objects that follow each other, printed over several lines: each ends with a lone brace. */
async function* jsonObjects(stream: Readable): AsyncGenerator<JsonObject> {
  let held = "";
  for await (const data of stream) {
    held += (data as Buffer).toString();
    for (;;) {
      const end = /^(?:\{\}|\})\n/m.exec(held);
      if (!end) break;
      const text = held.slice(0, end.index + end[0].length);
      held = held.slice(text.length);
      yield JSON.parse(text) as JsonObject;
    }
  }
}

/** What it prints on stderr, after what npm may have to say. */
function errorIn(text: string): JsonError {
  const start = text.indexOf("{");
  if (start < 0) return { code: "unknown", message: text };
  return JSON.parse(text.slice(start, text.lastIndexOf("}") + 1)) as JsonError;
}

function fromJsonError({ code, message = "", details = [] }: JsonError): CallError {
  let reason: string | undefined;
  let domain: string | undefined;
  const fields: string[] = [];
  for (const { type, value } of details) {
    const bytes = Buffer.from(value, "base64");
    if (type === "google.rpc.ErrorInfo") ({ reason, domain } = fromBinary(ErrorInfoSchema, bytes));
    if (type === "google.rpc.BadRequest") {
      fields.push(...fromBinary(BadRequestSchema, bytes).fieldViolations.map(({ field }) => field));
    }
  }
  const upper = code.toUpperCase();
  return new CallError(upper === "CANCELED" ? "CANCELLED" : upper, reason, domain, fields, message);
}
