import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  AttachRequestSchema,
  ListRequestSchema,
  StartRequestSchema,
} from "../../gen/procman/v1/procman_pb.js";
import {
  envelope,
  FLAG,
  FRAME,
  frame,
  grpcHeaders,
  PREFACE,
  settings,
  uint32,
} from "../helpers/http2-frames.js";
import { SeededRandom } from "./seeded-random.js";

export const FUZZ_KINDS = ["Connect", "gRPC-Web", "HTTP/2 frames", "bytes"] as const;
export type FuzzKind = (typeof FUZZ_KINDS)[number];

export interface FuzzCase {
  readonly kind: FuzzKind;
  /** What is written, one piece after another. */
  readonly pieces: readonly Buffer[];
  /** How the connection is ended, and how long after; where an answer is waited for, at the latest. */
  readonly end: "reset" | "close" | "wait";
  readonly afterMs: number;
}

const SERVICE = "/procman.v1.ProcmanService";
/** For what the server waits for more of, which is most. */
const WAIT_MS = 500;
const MAX_HASTE_MS = 20;
const MAX_MUTATIONS = 3;
const MAX_REPEATS = 50;
/** Numbers at which programs go wrong. */
const NUMBERS = [
  "0",
  "-1",
  "1",
  "65536",
  "2147483647",
  "4294967296",
  "1e9",
  "99999999999999999999",
];
const WORDS = [
  "chunked",
  "gzip",
  "null",
  "[",
  "\r\n",
  "\0",
  "%00",
  "\xff\xfe",
  "..",
  "{",
  "identity",
];

/**
 * Requests that are valid but for a few changes. None is one that a server would
 * take a Start from: the commands there do not exist.
 */
export class Fuzzer {
  readonly #random: SeededRandom;
  readonly #token: string;

  constructor(seed: number, token: string) {
    this.#random = new SeededRandom(seed);
    this.#token = token;
  }

  next(): FuzzCase {
    const kind = this.#random.pick(FUZZ_KINDS);
    const pieces = this.#inPieces(this.#bytesOf(kind));
    const end = this.#random.pick(["reset", "close", "wait", "wait"] as const);
    const afterMs = end === "wait" ? WAIT_MS : this.#random.below(MAX_HASTE_MS);
    return { kind, pieces, end, afterMs };
  }

  #bytesOf(kind: FuzzKind): Buffer {
    switch (kind) {
      case "Connect":
        return this.#mutated(this.#connect());
      case "gRPC-Web":
        return this.#mutated(this.#http1("application/grpc-web+proto", envelope(this.#message())));
      case "HTTP/2 frames":
        return this.#http2();
      case "bytes":
        return this.#random.bytes(this.#random.below(2000));
    }
  }

  #connect(): Buffer {
    const request = create(StartRequestSchema, { command: "/nonexistent", env: { A: "b" } });
    switch (this.#random.below(3)) {
      case 0:
        return this.#http1(
          "application/json",
          Buffer.from(toJsonString(StartRequestSchema, request)),
        );
      case 1:
        return this.#http1("application/proto", this.#message());
      default:
        return this.#http1("application/connect+proto", envelope(this.#message()));
    }
  }

  #http1(type: string, body: Buffer): Buffer {
    const lines = [
      `${this.#random.pick(["POST", "POST", "GET", "OPTIONS"])} ${this.#path()} HTTP/1.1`,
      "Host: localhost",
      `Authorization: Bearer ${this.#maybeToken()}`,
      `Content-Type: ${type}`,
      `Content-Length: ${body.length}`,
      ...(this.#chance(4) ? ["Connect-Timeout-Ms: 1000"] : []),
      ...(this.#chance(10) ? ["Transfer-Encoding: chunked"] : []),
      ...(this.#chance(10) ? ["Content-Encoding: gzip"] : []),
      ...(this.#chance(4) ? ["Origin: http://localhost"] : []),
    ];
    const [first = "", ...headers] = lines;
    const shuffled = this.#chance(2) ? headers : this.#shuffle(headers);
    const head = [first, ...shuffled].join("\r\n");
    return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, "latin1"), body]);
  }

  #http2(): Buffer {
    const frames: Buffer[] = [settings()];
    for (let n = 0, id = 1; n < 1 + this.#random.below(8); n += 1, id += 2) {
      const path = this.#chance(6) ? "/grpc.health.v1.Health/Watch" : this.#path();
      const headers = grpcHeaders({
        authority: "localhost",
        path,
        ...(this.#chance(4) ? {} : { token: this.#maybeToken() }),
        more: this.#chance(3) ? [["grpc-timeout", `${this.#random.below(100)}m`]] : [],
      });
      frames.push(
        frame(FRAME.headers, FLAG.endHeaders, id, headers),
        frame(FRAME.data, this.#chance(4) ? 0 : FLAG.endStream, id, envelope(this.#message())),
      );
      if (this.#chance(3)) frames.push(frame(FRAME.rstStream, 0, id, uint32(8)));
      if (this.#chance(4)) frames.push(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
      if (this.#chance(4)) frames.push(frame(FRAME.windowUpdate, 0, id, uint32(1000)));
    }
    return Buffer.concat([PREFACE, ...this.#changed(frames)]);
  }

  /** In one way each: a connection does not get past much that is wrong. */
  #changed(frames: Buffer[]): Buffer[] {
    switch (this.#random.below(5)) {
      case 0:
        return frames;
      case 1:
        return this.#shuffle(frames);
      case 2:
        return frames.filter(() => !this.#chance(6));
      case 3:
        return frames.flatMap((each) => (this.#chance(6) ? [each, each] : [each]));
      default:
        return frames.map((each) => (this.#chance(6) ? this.#mutated(each) : each));
    }
  }

  #message(): Buffer {
    switch (this.#random.below(3)) {
      case 0:
        return Buffer.from(toBinary(ListRequestSchema, create(ListRequestSchema, { pageSize: 3 })));
      case 1:
        return Buffer.from(
          toBinary(AttachRequestSchema, create(AttachRequestSchema, { id: "nope", follow: true })),
        );
      default:
        return Buffer.from(
          toBinary(StartRequestSchema, create(StartRequestSchema, { command: "/nonexistent" })),
        );
    }
  }

  #path(): string {
    const methods = ["Start", "List", "Attach", "Watch", "WatchJobs", "Wait", "Get", "Nope"];
    return `${SERVICE}/${this.#random.pick(methods)}`;
  }

  #maybeToken(): string {
    return this.#chance(8) ? "wrong" : this.#token;
  }

  #mutated(bytes: Buffer): Buffer {
    let mutated = bytes;
    for (let n = this.#random.below(MAX_MUTATIONS + 1); n > 0; n -= 1)
      mutated = this.#mutate(mutated);
    return mutated;
  }

  #mutate(bytes: Buffer): Buffer {
    const at = this.#random.below(bytes.length + 1);
    const to = Math.min(bytes.length, at + this.#random.below(20));
    const [before, within, after] = [
      bytes.subarray(0, at),
      bytes.subarray(at, to),
      bytes.subarray(to),
    ];
    switch (this.#random.below(6)) {
      case 0: {
        const flipped = Buffer.from(bytes);
        if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << this.#random.below(8));
        return flipped;
      }
      case 1:
        return Buffer.concat([before, after]);
      case 2:
        return Buffer.concat([before, this.#random.bytes(this.#random.below(20)), after]);
      case 3: {
        const word = Buffer.from(this.#random.pick([...NUMBERS, ...WORDS]), "latin1");
        return Buffer.concat([before, word, after]);
      }
      case 4: {
        const repeats = this.#random.below(MAX_REPEATS);
        return Buffer.concat([before, ...Array.from({ length: repeats }, () => within), after]);
      }
      default:
        return before;
    }
  }

  /** As packets may be cut. */
  #inPieces(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    let rest = bytes;
    while (this.#chance(2) && rest.length > 1) {
      const at = this.#random.below(rest.length);
      pieces.push(rest.subarray(0, at));
      rest = rest.subarray(at);
    }
    return [...pieces, rest];
  }

  #shuffle<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.#random.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }

  /** Once in that many times. */
  #chance(inTimes: number): boolean {
    return this.#random.below(inTimes) === 0;
  }
}
