import type { JsonObject } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import type { ConformanceClient } from "../conformance-client.js";
import type { Stage } from "../stage.js";
import {
  all,
  bytesOf,
  fails,
  jobOf,
  linesOf,
  openLogs,
  type Scenario,
  start,
  untilOpenLogs,
  wait,
} from "./scenario.js";

/** More than a unix socket holds, and grpc-js reads ahead. */
const MANY_LINES = 900_000;
const MANY_BYTES = 6_188_895;

export const OUTPUT_SCENARIOS: readonly Scenario[] = [
  {
    name: "Attach: all of it, followed",
    async run(client) {
      const script = "for i in 1 2 3; do echo o$i; echo e$i >&2; sleep 0.03; done";
      const job = await start(client, script);
      const events = await all(client.stream("Attach", { id: job.id, follow: true }));
      expect(Object.keys(events[0] ?? {})).toEqual(["opened"]);
      expect(events.at(-1)).toMatchObject({ ended: { job: { status: "STATUS_COMPLETED" } } });
      expect(bytesOf(events, "STREAM_STDOUT").toString()).toBe("o1\no2\no3\n");
      expect(bytesOf(events, "STREAM_STDERR").toString()).toBe("e1\ne2\ne3\n");
    },
  },
  {
    name: "Attach: from an offset, the last lines",
    async run(client) {
      const { id } = await start(client, "printf 'one\\ntwo\\nthree\\n'");
      await wait(client, id);
      const text = async (request: JsonObject) => {
        const whole = { id, streams: ["STREAM_STDOUT"], ...request };
        return bytesOf(await all(client.stream("Attach", whole)), "STREAM_STDOUT").toString();
      };
      expect(await text({ stdoutOffset: "4" })).toBe("two\nthree\n");
      expect(await text({ tailLines: 1 })).toBe("three\n");
      expect(await text({ tailLines: 0 })).toBe("");
      expect(await text({ stdoutOffset: "14" })).toBe("");
      const request = { id, stdoutOffset: "15", stderrOffset: "1" };
      const fields = ["stdout_offset", "stderr_offset"];
      await fails(client, "Attach", request, "OFFSET_OUT_OF_RANGE", { fields });
      await fails(client, "Watch", request, "OFFSET_OUT_OF_RANGE", { fields });
    },
  },
  {
    name: "ReadOutput: one answer, bounded",
    async run(client) {
      const { id } = await start(client, "printf 0123456789; printf err >&2");
      await wait(client, id);
      const read = async (request: JsonObject) => client.call("ReadOutput", { id, ...request });
      expect(await read({ text: true })).toMatchObject({
        job: { status: "STATUS_COMPLETED" },
        parts: [
          { stream: "STREAM_STDOUT", text: "0123456789" },
          { stream: "STREAM_STDERR", text: "err" },
        ],
        stdoutNextOffset: "10",
        stderrNextOffset: "3",
      });
      const one = { streams: ["STREAM_STDOUT"], maxBytes: 4 };
      const part = (offset: string, text: string, more = {}) => ({
        stream: "STREAM_STDOUT",
        data: Buffer.from(text).toString("base64"),
        ...(offset === "0" ? {} : { offset }),
        ...more,
      });
      expect((await read(one))["parts"]).toEqual([
        part("0", "01"),
        part("8", "89", { omittedBytes: "6" }),
      ]);
      const head = await read({ ...one, ends: "OUTPUT_ENDS_HEAD", stdoutOffset: "1" });
      expect(head).toMatchObject({ parts: [part("1", "1234")], stdoutNextOffset: "5" });
      const tail = await read({ ...one, ends: "OUTPUT_ENDS_TAIL" });
      expect(tail["parts"]).toEqual([part("6", "6789", { omittedBytes: "6" })]);
      await fails(client, "ReadOutput", { id, maxBytes: 262145 }, "INVALID_ARGUMENT", {
        fields: ["max_bytes"],
      });
      await fails(client, "ReadOutput", { id, stdoutOffset: "11" }, "OFFSET_OUT_OF_RANGE", {
        fields: ["stdout_offset"],
      });
      await fails(client, "ReadOutput", { id: "nobody" }, "JOB_NOT_FOUND");
    },
  },
  {
    name: "since_time, until_time and when output was written",
    async run(client) {
      const { id } = await start(client, "echo one; echo err >&2");
      const { createdTime } = await wait(client, id);
      const past = { id, untilTime: "2026-01-01T00:00:00Z", follow: true };
      const coming = { id, sinceTime: "2100-01-01T00:00:00Z" };
      for (const request of [past, coming]) {
        expect(await all(client.stream("Attach", request))).toHaveLength(2);
        expect(linesOf(await all(client.stream("Watch", request)))).toEqual([]);
      }
      const known = { id, sinceTime: createdTime as string, writtenTimes: true };
      const writtenBetween = { from: createdTime, to: expect.any(String) };
      expect(linesOf(await all(client.stream("Watch", known)))).toMatchObject([
        { text: "one", writtenBetween },
        { text: "err", writtenBetween },
      ]);
      const chunks = (await all(client.stream("Attach", known))).slice(1, -1);
      expect(chunks).toMatchObject([{ chunk: { writtenBetween } }, { chunk: { writtenBetween } }]);
      expect((await client.call("ReadOutput", known))["parts"]).toMatchObject([
        { writtenBetween },
        { writtenBetween },
      ]);
      expect((await client.call("ReadOutput", coming))["parts"] ?? []).toEqual([]);
      const wrong = { ...coming, untilTime: "2026-01-01T00:00:00Z" };
      const fields = ["until_time"];
      await fails(client, "Watch", wrong, "INVALID_ARGUMENT", { fields });
      await fails(client, "ReadOutput", wrong, "INVALID_ARGUMENT", { fields });
    },
  },
  {
    name: "Attach: a megabyte of any bytes",
    async run(client) {
      const program =
        "const b=Buffer.alloc(1e6);for(let i=0;i<b.length;i++)b[i]=i*31;process.stdout.write(b)";
      const request = { command: process.execPath, args: ["-e", program] };
      const job = jobOf(await client.call("Start", request));
      const events = await all(client.stream("Attach", { id: job.id, follow: true }));
      const expected = Buffer.alloc(1e6);
      for (let i = 0; i < expected.length; i += 1) expected[i] = i * 31;
      expect(bytesOf(events, "STREAM_STDOUT").equals(expected)).toBe(true);
    },
  },
  {
    name: "Watch: lines and progress",
    async run(client) {
      const job = await start(client, "printf 'a\\r\\nb 50%%\\rc'");
      const events = await all(client.stream("Watch", { id: job.id }));
      expect(linesOf(events)).toMatchObject([
        { text: "a", terminator: "TERMINATOR_CRLF", nextOffset: "3" },
        { text: "b 50%", terminator: "TERMINATOR_CR", progress: { percent: 50 } },
        { text: "c", terminator: "TERMINATOR_NONE", offset: "9", nextOffset: "10" },
      ]);
      expect(Object.keys(events.at(-1) ?? {})).toEqual(["ended"]);
      const rest = await all(client.stream("Watch", { id: job.id, stdoutOffset: "3" }));
      expect(linesOf(rest)).toEqual(linesOf(events).slice(1));
    },
  },
  {
    name: "Watch: only lines that match",
    async run(client) {
      const { id } = await start(client, "echo error 1; echo fine; echo error 2; sleep 1000");
      await client.call("Wait", { id, output: { pattern: "2$" } });
      const watch = async (request: JsonObject) => {
        const whole = { id, pattern: "^error", follow: false, ...request };
        return all(client.stream("Watch", whole));
      };
      const events = await watch({});
      expect(linesOf(events)).toMatchObject([
        { text: "error 1", nextOffset: "8" },
        { text: "error 2", offset: "13" },
      ]);
      expect(events.at(-2)).toMatchObject({ searched: { stdoutOffset: "21" } });
      expect(linesOf(await watch({ invert: true }))).toMatchObject([{ text: "fine" }]);
      expect(linesOf(await watch({ stdoutOffset: "21" }))).toEqual([]);
      const bad = { id, pattern: "(" };
      await fails(client, "Watch", bad, "INVALID_ARGUMENT", { fields: ["pattern"] });
      await client.call("Cancel", { id, gracePeriod: "0s" });
    },
  },
  {
    name: "a reader that stops for a while slows only itself, and misses nothing",
    async run(client, stage) {
      const request = { command: "seq", args: ["1", String(MANY_LINES)] };
      const { id } = jobOf(await client.call("Start", request));
      expect((await wait(client, id))["stdoutBytes"]).toBe(String(MANY_BYTES));
      const events = client.stream("Attach", { id, streams: ["STREAM_STDOUT"] });
      const reader = events[Symbol.asyncIterator]();
      expect(Object.keys((await reader.next()).value as JsonObject)).toEqual(["opened"]);

      // Nobody reads, so the server comes to have nothing to do.
      await stage.together(() => untilIdle(stage));
      if (readsLittleAhead(client)) expect(openLogs(stage.server, id)).toBe(1);
      expect(jobOf(await client.call("Get", { id })).id).toBe(id);
      await stage.together();

      // As they come: all of them at once, of every client, are too many to keep.
      const pieces: Buffer[] = [];
      let last: JsonObject = {};
      for await (const event of { [Symbol.asyncIterator]: () => reader }) {
        pieces.push(bytesOf([event], "STREAM_STDOUT"));
        last = event;
      }
      expect(isSeq(Buffer.concat(pieces))).toBe(true);
      expect(Object.keys(last)).toEqual(["ended"]);
      await untilOpenLogs(stage.server, id, 0);
      await client.call("Remove", { id });
    },
  },
];

/** What others hold is for their libraries, and over TCP for the kernel, to say: many megabytes. */
function readsLittleAhead({ kind, over, lacks }: ConformanceClient): boolean {
  const isHttp1 = lacks.has("lasting connection");
  return kind === "grpc-js" || (isHttp1 && over === "unix socket");
}

/** Has not read the tenth of a chunk for a while; a process never reads nothing at all. */
async function untilIdle(stage: Stage): Promise<void> {
  let [last, idle] = [0, 0];
  await eventually("the server to read nothing more", () => {
    const now = stage.bytesRead();
    idle = now - last < 6000 ? idle + 1 : 0;
    last = now;
    return idle === 6;
  });
}

let seq: Buffer | undefined;

function isSeq(bytes: Buffer): boolean {
  seq ??= Buffer.from(Array.from({ length: MANY_LINES }, (_, index) => `${index + 1}\n`).join(""));
  return bytes.equals(seq);
}
