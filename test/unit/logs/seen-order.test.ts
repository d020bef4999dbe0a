import { expect, test } from "vitest";
import type { OutputChunk } from "../../../src/contract/procman.js";
import type { Stream } from "../../../src/contract/job.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import { eventually } from "../../helpers/eventually.js";
import { Collected, collect, JobLogs } from "./job-logs.js";
import { newOutput } from "./new-output.js";

const BOTH = { stdout: 0, stderr: 0 };

function textOf({ data }: OutputChunk): string {
  return Buffer.from(data).toString();
}

/** Logs with a history, one follower that takes all at once, and one that took nothing but the history. */
async function fastAndSlow(history: string) {
  const logs = JobLogs.started();
  logs.append("stdout", history);
  const output = newOutput();
  const ended = new AbortController();
  const slow = output.open(logs.dir).chunks(BOTH, { ended: ended.signal });
  const first = (await slow.next()).value as OutputChunk;
  const got = new Collected();
  const fast = collect(output.open(logs.dir).chunks(BOTH, { ended: ended.signal }), got);
  await eventually("the history", () => got.end("stdout") === history.length);
  /** Resolves when it has been seen. */
  const write = async (stream: Stream, text: string): Promise<void> => {
    const before = got.end(stream);
    logs.append(stream, text);
    await eventually("it to be seen", () => got.end(stream) === before + text.length);
  };
  const rest = async (): Promise<OutputChunk[]> => {
    ended.abort();
    await fast;
    const chunks: OutputChunk[] = [];
    for await (const chunk of slow) chunks.push(chunk);
    return chunks;
  };
  return { first, write, rest };
}

test("one who comes to both streams late gets them in the order they were seen", async () => {
  const { first, write, rest } = await fastAndSlow("history");
  expect(textOf(first)).toBe("history");
  expect(first.seenTime).toBeUndefined();
  const before = Date.now();
  const written: string[] = [];
  for (const [i, stream] of (
    ["stderr", "stdout", "stdout", "stderr", "stderr", "stdout", "stderr"] as const
  ).entries()) {
    await write(stream, `${stream} ${i},`);
    written.push(`${stream} ${i},`);
  }
  const after = Date.now();
  const chunks = await rest();
  expect(chunks.map(textOf).join("")).toBe(written.join(""));
  // What nothing of the other stream came between may come in one.
  expect(chunks.map(({ stream }) => stream)).toEqual([
    "stderr",
    "stdout",
    "stderr",
    "stdout",
    "stderr",
  ]);
  const times = chunks.map(({ seenTime }) => seenTime?.getTime() ?? 0);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  for (const time of times) {
    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(after);
  }
});

test("history and what was seen to come are never in one chunk", async () => {
  const { write, rest } = await fastAndSlow("h".repeat(CHUNK_BYTES + 7));
  await write("stdout", "new");
  const seen = (await rest()).map((chunk) => [textOf(chunk), chunk.seenTime !== undefined]);
  expect(seen).toEqual([
    ["hhhhhhh", false],
    ["new", true],
  ]);
});

test("new output of one stream does not wait for all of the other's history", async () => {
  const { write, rest } = await fastAndSlow("h".repeat(5 * CHUNK_BYTES));
  await write("stderr", "new");
  const streams = (await rest()).map(({ stream }) => stream);
  expect(streams).toEqual(["stderr", "stdout", "stdout", "stdout", "stdout"]);
});

test("a line was seen when its end was", async () => {
  const logs = JobLogs.started();
  logs.append("stdout", "old\nbeg");
  const ended = new AbortController();
  const lines = newOutput().open(logs.dir).lines({ stdout: 0 }, { ended: ended.signal });
  expect((await lines.next()).value).not.toHaveProperty("seenTime");
  const before = Date.now();
  const next = lines.next();
  logs.append("stdout", "un\nlast");
  const line = (await next).value;
  expect(line).toMatchObject({ text: "begun" });
  const after = Date.now();
  ended.abort();
  const last = (await lines.next()).value;
  expect(last).toMatchObject({ text: "last", terminator: "none" });
  for (const { seenTime } of [line!, last!]) {
    expect(seenTime!.getTime()).toBeGreaterThanOrEqual(before);
    expect(seenTime!.getTime()).toBeLessThanOrEqual(after);
  }
});

test("what does not follow has no times", async () => {
  const logs = JobLogs.started();
  logs.append("stdout", "old");
  for await (const chunk of newOutput().open(logs.dir).chunks(BOTH)) {
    expect(chunk).not.toHaveProperty("seenTime");
  }
});
