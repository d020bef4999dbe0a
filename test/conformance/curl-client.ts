import type { Readable } from "node:stream";
import type { JsonObject } from "@bufbuild/protobuf";
import { CallError, fromJsonError, type JsonError } from "./call-error.js";
import {
  authorization,
  type CallOptions,
  type ConformanceClient,
  lacks,
  type Method,
  type Target,
} from "./conformance-client.js";
import { connectionWords, launch } from "./launch.js";

/** curl, with Connect's JSON: unary calls, and streams by their five-byte envelopes. */
export function curlClient(target: Target): ConformanceClient {
  const words = connectionWords(target);
  const run = (method: Method, contentType: string, options: CallOptions) => {
    const { deadlineMs } = options;
    const headers = {
      "content-type": contentType,
      "connect-protocol-version": "1",
      ...(deadlineMs === undefined ? {} : { "connect-timeout-ms": String(deadlineMs) }),
      ...authorization(target, options),
    };
    const headerWords = Object.entries(headers).flatMap((header) => ["-H", header.join(": ")]);
    const url = `${target.baseUrl}/procman.v1.ProcmanService/${method}`;
    const args = ["-sN", ...words, ...headerWords, "--data-binary", "@-", url];
    return launch("curl", args, options.signal);
  };
  return {
    kind: "curl",
    over: target.over,
    lacks: lacks(target, "lasting connection"),
    async call(method, request, options = {}) {
      const child = run(method, "application/json", options);
      child.stdin.end(JSON.stringify(request));
      const text = (await child.stdout.toArray()).join("");
      if (text === "") throw cutOff();
      const answer = JSON.parse(text) as JsonObject;
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
        if (!ended) throw cutOff();
      } finally {
        child.kill();
      }
    },
    close: async () => {},
  };
}

function cutOff(): CallError {
  return new CallError({ code: "UNAVAILABLE", message: "the answer was cut off", fields: [] });
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
