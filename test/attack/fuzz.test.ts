import { connect } from "node:net";
import { expect, test } from "vitest";
import { cpuSeconds, openDescriptors, peakRssKib } from "../crash/process-figures.js";
import { eventually } from "../helpers/eventually.js";
import { FRAME, parseFrames } from "../helpers/http2-frames.js";
import { TestServer } from "../helpers/test-server.js";
import { FUZZ_KINDS, type FuzzCase, Fuzzer, type FuzzKind } from "./fuzzer.js";
import { NormalClient } from "./normal-client.js";

// `npm run fuzz` sets the first for the long run; the second does one again.
const minutes = Number(process.env["PROCMAN_TEST_FUZZ_MINUTES"] ?? 0.05);
const seed = Number(process.env["PROCMAN_TEST_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 32));

const isLong = minutes >= 1;
const AT_ONCE = 32;
/** Of an answer that has begun. */
const REST_MS = 5;
/** Shown when the server has ended. */
const LAST_CASES = 40;
const MAX_PEAK_KIB = 512 * 1024;
/** By when the server has noticed that a client of HTTP/2 is gone whose connection broke. */
const KEEPALIVE_MS = 60_000;

interface Tally {
  readonly cases: Record<FuzzKind, number>;
  /** By the first bytes that came back. */
  readonly answers: Record<string, number>;
}

test(`requests that are nearly valid, for ${minutes} minutes`, {
  timeout: minutes * 60_000 + 240_000,
}, async () => {
  console.log(`PROCMAN_TEST_FUZZ_SEED=${seed}`);
  const server = await TestServer.start();
  await server.settle();
  const descriptors = openDescriptors(server.pid);
  const client = await NormalClient.start(server);
  const tally: Tally = {
    cases: Object.fromEntries(FUZZ_KINDS.map((kind) => [kind, 0])) as Record<FuzzKind, number>,
    answers: {},
  };
  const fuzzer = new Fuzzer(seed, server.token);
  const last: FuzzCase[] = [];
  const doors = [
    { host: "127.0.0.1", port: Number(new URL(server.baseUrl).port) },
    { path: server.socketPath },
  ];
  const until = performance.now() + minutes * 60_000;
  const work = async () => {
    for (let n = 0; performance.now() < until && !server.hasEnded; n += 1) {
      const fuzzed = fuzzer.next();
      tally.cases[fuzzed.kind] += 1;
      last.push(fuzzed);
      if (last.length > LAST_CASES) last.shift();
      const door = doors[n % 4 === 0 ? 1 : 0] as (typeof doors)[number];
      const answer = outcomeOf(await send(door, fuzzed));
      tally.answers[answer] = (tally.answers[answer] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  console.log(
    JSON.stringify(
      { ...tally, peakRssMib: peakRssKib(server.pid) >> 10, cpuSeconds: cpuSeconds(server.pid) },
      undefined,
      2,
    ),
  );

  expect(server.hasEnded, `${server.log}\n${last.map(describeCase).join("\n")}`).toBe(false);
  await client.leave();
  expect(server.log.split("\n").filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  expect(peakRssKib(server.pid)).toBeLessThan(MAX_PEAK_KIB);
  expect((await server.client.list({})).jobs).toEqual([]);
  if (!isLong) return;
  await eventually(
    "the descriptors' release",
    // One more for the watches.
    () => openDescriptors(server.pid) <= descriptors + 1,
    KEEPALIVE_MS + 30_000,
  );
});

/** What came back, of a connection that is ended as the case says. */
function send(door: object, { pieces, end, afterMs }: FuzzCase): Promise<Buffer> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket = connect(door as { path: string });
    const finish = () => {
      if (end === "reset" && "port" in door) socket.resetAndDestroy();
      else socket.destroy();
    };
    socket.on("data", (data) => {
      received.push(data);
      if (end === "wait") setTimeout(finish, REST_MS);
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(received)));
    socket.on("connect", () => {
      for (const piece of pieces) socket.write(piece);
      setTimeout(finish, afterMs);
    });
  });
}

function outcomeOf(answer: Buffer): string {
  if (answer.length === 0) return "nothing";
  const http1 = /^HTTP\/1.1 \d+/.exec(answer.toString("latin1"))?.[0];
  if (http1 !== undefined) return http1;
  const types = new Set(parseFrames(answer).map(({ type }) => type));
  if (types.has(FRAME.headers)) return "HTTP/2, answered";
  return types.has(FRAME.goaway) ? "HTTP/2, GOAWAY" : "HTTP/2";
}

function describeCase({ kind, pieces, end, afterMs }: FuzzCase): string {
  const hex = pieces.map((piece) => piece.toString("hex"));
  return JSON.stringify({ kind, end, afterMs, hex });
}
