import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { OutputChunk } from "../../../src/contract/procman.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import { withHeadroom } from "../../../src/platform/headroom.js";
import { eventually } from "../../helpers/eventually.js";
import { fileOperationsDone } from "./event-loop-turn.js";
import { Collected, JobLogs } from "./job-logs.js";
import { newOutput } from "./new-output.js";

const CHUNKS = 21;
const READINGS = [
  ["that ends at the size there is", {}],
  ["that follows", { ended: AbortSignal.abort() }],
] as const;

describe.each(READINGS)("of a reading %s, transient data", (_, following) => {
  const options = { ...following, transientData: true };

  test("takes the same memory, however much there is", async () => {
    const { logs, bytes } = manyChunks();
    const got = new Collected();
    const memory = new Set<unknown>();
    for await (const chunk of newOutput().open(logs.dir).chunks({ stdout: 0 }, options)) {
      memory.add(chunk.data.buffer);
      got.add(copyOf(chunk));
    }
    expect(got.bytes("stdout").equals(bytes)).toBe(true);
    // What is at the head is read as by followers that share it.
    expect(memory.size).toBeLessThanOrEqual(3);
  });

  test("has room in front of it for what is sent before it", async () => {
    const { logs, bytes } = manyChunks();
    let position = 0;
    for await (const { data } of newOutput().open(logs.dir).chunks({ stdout: 0 }, options)) {
      // At the head of the log it is shared with others, who must not see it.
      const message = withHeadroom(data, 100)?.fill(0, 0, 100);
      if (position === 0) expect(message?.length).toBe(100 + CHUNK_BYTES);
      const expected = bytes.subarray(position, position + data.length);
      expect(Buffer.compare(message?.subarray(100) ?? data, expected)).toBe(0);
      position += data.length;
    }
    expect(position).toBe(bytes.length);
  });

  test("stays as it is until the next is asked for", async () => {
    const { logs, bytes } = manyChunks();
    let position = 0;
    for await (const { data } of newOutput().open(logs.dir).chunks({ stdout: 0 }, options)) {
      await fileOperationsDone();
      const expected = bytes.subarray(position, position + data.length);
      expect(Buffer.compare(data, expected)).toBe(0);
      position += data.length;
    }
    expect(position).toBe(bytes.length);
  });

  test("is of both streams in turn", async () => {
    const { logs, bytes } = manyChunks();
    logs.append("stderr", bytes.subarray(0, 10 * CHUNK_BYTES));
    const got = new Collected();
    for await (const chunk of newOutput()
      .open(logs.dir)
      .chunks({ stdout: 0, stderr: 0 }, options)) {
      got.add(copyOf(chunk));
      if (got.size("stderr") === 0) expect(got.size("stdout")).toBeLessThan(3 * CHUNK_BYTES);
    }
    expect(got.bytes("stdout").equals(bytes)).toBe(true);
    expect(got.bytes("stderr").equals(bytes.subarray(0, 10 * CHUNK_BYTES))).toBe(true);
  });
});

test("those who wait at the end of a log hold no memory for it", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const { logs, bytes } = manyChunks();
  const output = newOutput().open(logs.dir);
  const ended = new AbortController();
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const followers = Array.from({ length: 300 }, () =>
    output.chunks({ stdout: 0 }, { ended: ended.signal, transientData: true }),
  );
  for (const follower of followers) {
    for (let position = 0; position < bytes.length; ) {
      position += (await follower.next()).value?.data.length ?? 0;
    }
  }
  const waiting = followers.map((follower) => follower.next());
  await eventually("the memory to be given back", () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers - before < 100 * CHUNK_BYTES;
  });
  ended.abort();
  for (const { done } of await Promise.all(waiting)) expect(done).toBe(true);
});

test("data that is not said to be transient can be kept", async () => {
  const { logs, bytes } = manyChunks();
  for (const ended of [undefined, AbortSignal.abort()]) {
    const kept: Uint8Array[] = [];
    const following = ended ? { ended } : {};
    for await (const { data } of newOutput().open(logs.dir).chunks({ stdout: 0 }, following)) {
      expect(withHeadroom(data, 1)).toBeUndefined();
      kept.push(data);
    }
    expect(Buffer.concat(kept).equals(bytes)).toBe(true);
  }
});

/** A log in which no chunk, nor any part of one, is like another. */
function manyChunks(): { logs: JobLogs; bytes: Buffer } {
  const bytes = Buffer.alloc(CHUNKS * CHUNK_BYTES + 20);
  for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE(i, i);
  const logs = JobLogs.started();
  logs.append("stdout", bytes);
  return { logs, bytes };
}

function copyOf(chunk: OutputChunk): OutputChunk {
  return { ...chunk, data: Buffer.from(chunk.data) };
}
