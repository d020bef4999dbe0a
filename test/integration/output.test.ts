import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { ProcmanService, Status, Stream, Terminator } from "../../gen/procman/v1/procman_pb.js";
import { collect, errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { linesOf, readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

const server = TestServer.shared();

async function start(script: string): Promise<string> {
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", script],
    workDir: server.stateDir,
  });
  return job!.id;
}

async function ended(script: string): Promise<string> {
  const id = await start(script);
  await server.client.wait({ id });
  return id;
}

/** All that a process has read since it began (Linux). */
function bytesRead(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1]);
}

function clientOver(protocol: string): Client<typeof ProcmanService> {
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("Authorization", `Bearer ${server.token}`);
    return next(request);
  };
  const options = { baseUrl: server.baseUrl, interceptors: [authorize] };
  if (protocol === "gRPC") return createClient(ProcmanService, createGrpcTransport(options));
  const http = { ...options, httpVersion: "1.1" } as const;
  const transport =
    protocol === "Connect" ? createConnectTransport(http) : createGrpcWebTransport(http);
  return createClient(ProcmanService, transport);
}

/** In bytes from `offset` on of the numbers from 0 on, four bytes each; -1 where all are right. */
function firstWrongByte(data: Uint8Array, offset: number): number {
  const expected = Buffer.alloc(data.length + 4);
  const first = Math.floor(offset / 4);
  for (let i = 0; i + 4 <= expected.length; i += 4) expected.writeUInt32LE(first + i / 4, i);
  const skip = offset % 4;
  if (expected.subarray(skip, skip + data.length).equals(data)) return -1;
  return data.findIndex((byte, i) => byte !== expected[skip + i]);
}

describe("Attach", () => {
  test("sends opened first, ended last, and both streams in between", async () => {
    const id = await ended("echo out; echo err >&2");
    const events = await collect(server.client.attach({ id }));
    expect(events[0]!.event).toMatchObject({ case: "opened", value: { job: { id } } });
    expect(events.at(-1)!.event).toMatchObject({ case: "ended", value: { job: { id } } });
    const chunks = events.flatMap(({ event }) => (event.case === "chunk" ? [event.value] : []));
    const text = (stream: Stream) =>
      Buffer.concat(chunks.filter((c) => c.stream === stream).map((c) => c.data)).toString();
    expect(text(Stream.STDOUT)).toBe("out\n");
    expect(text(Stream.STDERR)).toBe("err\n");
  });

  test("without follow it ends at the last byte there is, with the job as it is", async () => {
    const id = await start("echo one; sleep 1000");
    await eventually("the line", async () => {
      const { job } = await server.client.get({ id });
      return job!.stdoutBytes === 4n;
    });
    const events = await collect(server.client.attach({ id }));
    expect(events.map(({ event }) => event.case)).toEqual(["opened", "chunk", "ended"]);
    expect(events[2]!.event).toMatchObject({ value: { job: { status: Status.RUNNING } } });
  });

  test("follows to the last byte, and ends with the job's end", async () => {
    const id = await start("for i in 1 2 3; do echo $i; sleep 0.05; done; printf last");
    expect((await readOutput(server.client, id)).toString()).toBe("1\n2\n3\nlast");
  });

  test("opened comes at once on a silent job", async () => {
    const id = await start("sleep 1000");
    const leave = new AbortController();
    const stream = server.client.attach({ id, follow: true }, { signal: leave.signal });
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ event: { case: "opened" } });
    leave.abort();
    await errorOf(iterator.next());
  });

  test.each([
    [0, ""],
    [1, "e"],
    [2, "d\re"],
    [3, "c\r\nd\re"],
    [4, "\nc\r\nd\re"],
    [5, "a\n\nc\r\nd\re"],
    [100, "a\n\nc\r\nd\re"],
  ])("the last %i lines are %j", async (tailLines, expected) => {
    const id = await ended("printf 'a\\n\\nc\\r\\nd\\re'");
    const events = await collect(server.client.attach({ id, tailLines }));
    const data = events.flatMap(({ event }) => (event.case === "chunk" ? [event.value.data] : []));
    expect(Buffer.concat(data).toString()).toBe(expected);
  });

  test("an offset beyond the end is out of range, a negative one invalid", async () => {
    const id = await ended("echo hi");
    expect(await errorOf(collect(server.client.attach({ id, stdoutOffset: 4n })))).toMatchObject({
      code: "OutOfRange",
      reason: "OFFSET_OUT_OF_RANGE",
    });
    for (const bad of [{ stdoutOffset: -1n }, { stderrOffset: -1n }, { tailLines: -1 }]) {
      const error = await errorOf(collect(server.client.attach({ id, ...bad })));
      expect(error).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
    }
    expect(await collect(server.client.attach({ id, stdoutOffset: 3n }))).toHaveLength(2);
  });

  test.runIf(process.platform === "linux")(
    "of 10 GB, the last ten lines are found by reading the end alone",
    async () => {
      const id = await ended("true");
      const log = join(server.stateDir, "jobs", id, "stdout.log");
      truncateSync(log, 10_000_000_000);
      appendFileSync(log, Array.from({ length: 12 }, (_, n) => `\nline ${n}`).join(""));
      const expected = Array.from({ length: 10 }, (_, n) => `line ${n + 2}`);
      const before = bytesRead(server.pid);
      const events = await collect(server.client.attach({ id, tailLines: 10 }));
      const data = events.flatMap(({ event }) =>
        event.case === "chunk" ? [event.value.data] : [],
      );
      expect(Buffer.concat(data).toString()).toBe(expected.join("\n"));
      const lines = linesOf(await collect(server.client.watch({ id, tailLines: 10 })));
      expect(lines.map(({ text }) => text)).toEqual(expected);
      expect(lines[0]!.offset).toBeGreaterThan(10_000_000_000n);
      // Everything that the server read meanwhile, from wherever.
      expect(bytesRead(server.pid) - before).toBeLessThan(1_000_000);
    },
  );

  test("100 MB arrive as they were written, also in two halves", async () => {
    const bytes = 100_000_000;
    const program = `const b=Buffer.alloc(1e6);let n=0;for(let k=0;k<100;k++){for(let i=0;i<1e6;i+=4)b.writeUInt32LE(n++,i);require("fs").writeSync(1,b)}`;
    const { job } = await server.client.start({ command: process.execPath, args: ["-e", program] });
    const expected = createHash("sha256");
    const block = Buffer.alloc(1e6);
    for (let k = 0, n = 0; k < 100; k += 1) {
      for (let i = 0; i < 1e6; i += 4) block.writeUInt32LE(n++, i);
      expected.update(block);
    }
    const hash = createHash("sha256");
    let next = 0n;
    // Leaves after about a half and comes back for the rest.
    for (const half of [BigInt(bytes / 2), BigInt(bytes)]) {
      const request = { id: job!.id, follow: true, streams: [Stream.STDOUT], stdoutOffset: next };
      for await (const { event } of server.client.attach(request)) {
        if (event.case !== "chunk") continue;
        expect(event.value.offset).toBe(next);
        hash.update(event.value.data);
        next += BigInt(event.value.data.length);
        if (next >= half && half < bytes) break;
      }
    }
    expect(next).toBe(BigInt(bytes));
    expect(hash.digest("hex")).toBe(expected.digest("hex"));
  });

  test.each(["gRPC", "gRPC-Web", "Connect"])(
    "20 MB arrive over %s, read while they are written and afterwards, also slowly",
    async (protocol) => {
      const program = `const b=Buffer.alloc(1e6);let n=0;for(let k=0;k<20;k++){for(let i=0;i<1e6;i+=4)b.writeUInt32LE(n++,i);require("fs").writeSync(1,b)}`;
      const { job } = await server.client.start({
        command: process.execPath,
        args: ["-e", program],
      });
      const client = clientOver(protocol);
      for (const follow of [true, true, false]) {
        let size = 0;
        const request = { id: job!.id, follow, streams: [Stream.STDOUT] };
        for await (const { event } of client.attach(request)) {
          if (event.case !== "chunk") continue;
          const { data, offset } = event.value;
          expect(offset).toBe(BigInt(size));
          expect(firstWrongByte(data, size)).toBe(-1);
          size += data.length;
          if (size % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        }
        expect(size).toBe(20_000_000);
      }
    },
  );

  test("bytes of every value arrive", async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    writeFileSync(join(server.stateDir, "binary"), all);
    const id = await start("cat binary binary >&2");
    const got = await readOutput(server.client, id, Stream.STDERR);
    expect(got.equals(Buffer.concat([all, all]))).toBe(true);
  });

  test("many followers of one job all get everything", async () => {
    const id = await start("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done");
    const { client } = server;
    const outputs = await Promise.all(Array.from({ length: 20 }, () => readOutput(client, id)));
    const expected = Array.from({ length: 2000 }, (_, n) => `line ${n + 1}\n`).join("");
    for (const output of outputs) expect(output.toString()).toBe(expected);
  });
});

describe("Watch", () => {
  test("start and watch two lines", async () => {
    const id = await start("echo line one; sleep 0.05; echo line two");
    const events = await collect(server.client.watch({ id }));
    expect(events[0]!.event.case).toBe("opened");
    expect(events.at(-1)!.event).toMatchObject({
      case: "ended",
      value: { job: { status: Status.COMPLETED, exitCode: 0 } },
    });
    expect(linesOf(events).map(({ text }) => text)).toEqual(["line one", "line two"]);
  });

  test("tells every kind of end of line, and where to go on", async () => {
    const id = await ended("printf 'a\\n\\nb\\r\\nc\\rd'");
    const lines = linesOf(await collect(server.client.watch({ id })));
    const brief = lines.map((l) => [l.text, l.terminator, Number(l.offset), Number(l.nextOffset)]);
    expect(brief).toEqual([
      ["a", Terminator.LF, 0, 2],
      ["", Terminator.LF, 2, 3],
      ["b", Terminator.CRLF, 3, 6],
      ["c", Terminator.CR, 6, 8],
      ["d", Terminator.NONE, 8, 9],
    ]);
    const { nextOffset } = lines[2]!;
    const rest = linesOf(await collect(server.client.watch({ id, stdoutOffset: nextOffset })));
    expect(rest.map(({ text }) => text)).toEqual(["c", "d"]);
  });

  test("a \\r\\n that is written in two pieces is one end of line", async () => {
    const id = await start("printf 'a\\r'; sleep 0.2; printf '\\nb\\r'; sleep 0.2; printf c");
    const lines = linesOf(await collect(server.client.watch({ id })));
    expect(lines.map(({ text, terminator }) => [text, terminator])).toEqual([
      ["a", Terminator.CRLF],
      ["b", Terminator.CR],
      ["c", Terminator.NONE],
    ]);
  });

  test("bytes that are not UTF-8 do no harm", async () => {
    const id = await ended("printf 'ok \\377\\376 \\303\\251\\n'");
    const lines = linesOf(await collect(server.client.watch({ id })));
    expect(lines[0]!.text).toBe("ok \u{fffd}\u{fffd} é");
  });

  test("a progress bar is told as progress", async () => {
    const bar = "for i in 10 50 100; do printf '\\rdownload %s%%' $i; sleep 0.02; done; echo";
    const id = await start(bar);
    const lines = linesOf(await collect(server.client.watch({ id })));
    expect(lines.map(({ progress }) => progress?.percent)).toEqual([undefined, 10, 50, 100]);
    expect((await server.client.get({ id })).job!.progress).toMatchObject({ percent: 100 });
  });

  test("a line longer than 64 KiB comes in pieces that chain", async () => {
    const id = await ended("head -c 200000 /dev/zero | tr '\\0' x; echo; echo next");
    const lines = linesOf(await collect(server.client.watch({ id })));
    expect(lines.map(({ text }) => text.length)).toEqual([65536, 65536, 65536, 3392, 4]);
    expect(lines[0]!.terminator).toBe(Terminator.NONE);
    for (const [index, line] of lines.slice(1).entries()) {
      expect(line.offset).toBe(lines[index]!.nextOffset);
    }
  });
});

describe("the time that output was seen at", () => {
  test("comes with what is new, not with what was there before", async () => {
    const until = (file: string) => `until [ -e ${file} ]; do sleep 0.01; done`;
    const id = await start(
      `echo old; echo old >&2; ${until("go1")}; echo new; ${until("go2")}; echo new >&2`,
    );
    await eventually("what will be old", async () => {
      const { job } = await server.client.get({ id });
      return job!.stdoutBytes === 4n && job!.stderrBytes === 4n;
    });
    const goOn = (file: string) => writeFileSync(join(server.stateDir, file), "");
    const before = Date.now();
    const seen: [string, Stream, number | undefined][] = [];
    for await (const { event } of server.client.attach({ id, follow: true })) {
      if (event.case !== "chunk") continue;
      const { stream, data, seenTime } = event.value;
      const ms = seenTime && timestampMs(seenTime);
      seen.push([Buffer.from(data).toString(), stream, ms]);
      if (seen.length === 2) goOn("go1");
      if (seen.length === 3) goOn("go2");
    }
    const after = Date.now();
    const [first, second, third, fourth] = seen;
    expect([first, second]).toEqual(
      expect.arrayContaining([
        ["old\n", Stream.STDOUT, undefined],
        ["old\n", Stream.STDERR, undefined],
      ]),
    );
    expect(third).toEqual(["new\n", Stream.STDOUT, expect.any(Number)]);
    expect(fourth).toEqual(["new\n", Stream.STDERR, expect.any(Number)]);
    const times = [before, third![2]!, fourth![2]!, after];
    expect(times).toEqual([...times].sort((a, b) => a - b));
    // Afterwards, all of it is history.
    for (const line of linesOf(await collect(server.client.watch({ id })))) {
      expect(line.seenTime).toBeUndefined();
    }
  });
});
