import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { JsonObject } from "@bufbuild/protobuf";
import { fromJsonError, type JsonError } from "./call-error.js";
import {
  authorization,
  type CallOptions,
  type ConformanceClient,
  lacks,
  type Method,
  type Target,
} from "./conformance-client.js";
import { connectionWords, launch } from "./launch.js";

const ROOT = join(import.meta.dirname, "../..");

/** buf curl, from npm: connect-go as a program. */
export type BufCurlKind =
  | "buf curl, gRPC with reflection"
  | "buf curl, Connect"
  | "buf curl, gRPC-Web";

export function bufCurlClient(kind: BufCurlKind, target: Target): ConformanceClient {
  const program = bufProgram();
  const words = ["curl", ...protocol(kind, target), ...connectionWords(target), "-d", "@-"];
  async function* messages(method: Method, request: JsonObject, options: CallOptions) {
    const headers = Object.entries(authorization(target, options));
    const headerWords = headers.flatMap((header) => ["-H", header.join(": ")]);
    const url = `${target.baseUrl}/procman.v1.ProcmanService/${method}`;
    const child = launch(program, [...words, ...headerWords, url], options.signal);
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
    kind,
    over: target.over,
    lacks: lacks(target, "deadline", "lasting connection"),
    async call(method, request, options = {}) {
      for await (const answer of messages(method, request, options)) return answer;
      return {};
    },
    stream: (method, request, options = {}) => messages(method, request, options),
    close: async () => {},
  };
}

function protocol(kind: BufCurlKind, target: Target): string[] {
  const schema = ["--schema", join(ROOT, "proto")];
  switch (kind) {
    case "buf curl, gRPC with reflection": {
      const plain = target.tls ? [] : ["--http2-prior-knowledge"];
      // Headers of the call are not sent with the questions of reflection.
      const headers = Object.entries(authorization(target, {}));
      const words = headers.flatMap((header) => ["--reflect-header", header.join(": ")]);
      return ["--protocol", "grpc", ...plain, "--reflect", ...words];
    }
    case "buf curl, Connect":
      return ["--protocol", "connect", ...schema];
    case "buf curl, gRPC-Web":
      return ["--protocol", "grpcweb", ...schema];
  }
}

/** The program itself: npm's wrapper does not pass on the signal that ends it. */
function bufProgram(): string {
  const packages = join(ROOT, "node_modules/@bufbuild");
  const platform = readdirSync(packages).find((name) => name.startsWith("buf-"));
  if (platform === undefined) throw new Error(`${packages} has no buf for this platform`);
  return join(packages, platform, "bin/buf");
}

/** Objects that follow each other, printed over several lines: each ends with a lone brace. */
async function* jsonObjects(stream: Readable): AsyncGenerator<JsonObject> {
  let held = "";
  for await (const text of stream.setEncoding("utf8")) {
    held += text as string;
    for (;;) {
      const end = /^(?:\{\}|\})\n/m.exec(held);
      if (!end) break;
      const object = held.slice(0, end.index + end[0].length);
      held = held.slice(object.length);
      yield JSON.parse(object) as JsonObject;
    }
  }
}

/** What it prints on stderr, after what npm may have to say. */
function errorIn(text: string): JsonError {
  const start = text.indexOf("{");
  if (start < 0) return { code: "unknown", message: text };
  return JSON.parse(text.slice(start, text.lastIndexOf("}") + 1)) as JsonError;
}
