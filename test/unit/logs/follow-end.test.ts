import { symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { OutputChunk } from "../../../src/contract/procman.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import { eventLoopTurn, fileOperationsDone } from "./event-loop-turn.js";
import { Collected, collect, JobLogs } from "./job-logs.js";
import { NO_POLLING, newOutput } from "./new-output.js";

const BOTH = { stdout: 0, stderr: 0 };

describe("the end", () => {
  test("comes after the last byte, also of what was not read yet", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", Buffer.alloc(5 * CHUNK_BYTES, "a"));
    logs.append("stderr", Buffer.alloc(3 * CHUNK_BYTES, "b"));
    const ended = new AbortController();
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: ended.signal });
    const got = new Collected();
    got.add((await chunks.next()).value as OutputChunk);
    logs.append("stdout", "the end");
    ended.abort();
    await collect(chunks, got);
    expect(got.bytes("stdout").equals(logs.read("stdout"))).toBe(true);
    expect(got.bytes("stderr").equals(logs.read("stderr"))).toBe(true);
  });

  test("misses nothing that nobody has told of", async () => {
    const logs = JobLogs.started();
    const ended = new AbortController();
    const output = newOutput({ ...NO_POLLING, watch: () => ({ close: () => {} }) });
    const followers = [1, 2, 3].map(() => {
      const chunks = output.open(logs.dir).chunks(BOTH, { ended: ended.signal });
      return collect(chunks);
    });
    await eventLoopTurn();
    logs.append("stdout", "last words");
    ended.abort();
    for (const got of await Promise.all(followers)) {
      expect(got.bytes("stdout").toString()).toBe("last words");
    }
  });

  test("is seen although it came while the log was looked at", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "all");
    const ended = new AbortController();
    let tell = (): void => {};
    const output = newOutput({
      ...NO_POLLING,
      watch: (_path, onChange) => {
        tell = onChange;
        return { close: () => {} };
      },
    });
    const chunks = output.open(logs.dir).chunks({ stdout: 0 }, { ended: ended.signal });
    await chunks.next();
    tell();
    const next = chunks.next();
    ended.abort();
    expect((await next).done).toBe(true);
  });

  test("is there at once when it came before", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "all");
    const got = await collect(
      newOutput().open(logs.dir).chunks(BOTH, { ended: AbortSignal.abort() }),
    );
    expect(got.bytes("stdout").toString()).toBe("all");
  });

  test("comes although something the job left behind goes on writing", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "x");
    const got = new Collected();
    for await (const chunk of newOutput()
      .open(logs.dir)
      .chunks(BOTH, { ended: AbortSignal.abort() })) {
      got.add(chunk);
      logs.append("stdout", "more");
    }
    expect(got.bytes("stdout").toString()).toBe("x");
  });

  test("is the same whatever other followers have seen since", async () => {
    const logs = JobLogs.started();
    const size = CHUNK_BYTES + 1000;
    logs.append("stdout", Buffer.alloc(size));
    const output = newOutput();
    const chunks = output.open(logs.dir).chunks(BOTH, { ended: AbortSignal.abort() });
    const got = new Collected();
    got.add((await chunks.next()).value as OutputChunk);
    logs.append("stdout", "more");
    const other = await collect(output.open(logs.dir).chunks(BOTH, { ended: AbortSignal.abort() }));
    expect(other.size("stdout")).toBe(size + 4);
    expect((await collect(chunks, got)).size("stdout")).toBe(size);
  });

  test("comes for logs that never were", async () => {
    const ended = new AbortController();
    const got = collect(newOutput().open(new JobLogs().dir).chunks(BOTH, { ended: ended.signal }));
    await eventLoopTurn();
    ended.abort();
    expect((await got).size("stdout")).toBe(0);
  });

  test("is reached in a log that was deleted meanwhile", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", Buffer.alloc(3 * CHUNK_BYTES));
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: AbortSignal.abort() });
    const got = new Collected();
    got.add((await chunks.next()).value as OutputChunk);
    unlinkSync(logs.path("stdout"));
    expect((await collect(chunks, got)).size("stdout")).toBe(3 * CHUNK_BYTES);
  });

  test("decides what a CR at the end is", async () => {
    const logs = JobLogs.started();
    const ended = new AbortController();
    const lines = newOutput().open(logs.dir).lines({ stdout: 0 }, { ended: ended.signal });
    logs.append("stdout", "10%\r20%\r");
    expect((await lines.next()).value).toMatchObject({ text: "10%", terminator: "cr" });
    const held = lines.next();
    await eventLoopTurn();
    logs.append("stdout", "\n30%\r");
    expect((await held).value).toMatchObject({ text: "20%", terminator: "crlf" });
    ended.abort();
    expect((await lines.next()).value).toMatchObject({ text: "30%", terminator: "cr" });
    expect((await lines.next()).done).toBe(true);
  });
});

describe("what goes wrong meanwhile", () => {
  test("reaches those who wait", async () => {
    const logs = new JobLogs();
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    const next = expect(chunks.next()).rejects.toMatchObject({
      message: expect.stringContaining(logs.path("stdout")),
      cause: { code: "ELOOP" },
    });
    await fileOperationsDone();
    symlinkSync("stdout.log", logs.path("stdout"));
    await next;
  });
});

describe("a log that is cut short", () => {
  test("goes on with what it holds then, and says so", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "0123456789");
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    await chunks.next();
    const next = chunks.next();
    truncateSync(logs.path("stdout"), 0);
    const truncation = { stream: "stdout", offset: 10, data: Buffer.alloc(0), isTruncation: true };
    expect((await next).value).toEqual(truncation);
    logs.append("stdout", "new");
    const { value } = await chunks.next();
    expect(value).toMatchObject({ stream: "stdout", offset: 10, data: Buffer.from("new") });
    await chunks.return();
  });

  test.each([
    ["longer than before", "ABCDEFGHIJKLMNOP"],
    ["as long as before", "ABCDEFGHIJ"],
  ])("is noticed where it is %s already", async (_, text) => {
    const logs = JobLogs.started();
    logs.append("stdout", "0123456789");
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    await chunks.next();
    const next = chunks.next();
    // In one go, as seen from here: nobody can look in between.
    writeFileSync(logs.path("stdout"), text);
    expect((await next).value).toMatchObject({ offset: 10, isTruncation: true });
    const { value } = await chunks.next();
    expect(value).toMatchObject({ offset: 10, data: Buffer.from(text) });
    await chunks.return();
  });

  test("is one place for all of its readers, and counted once", async () => {
    const logs = JobLogs.started();
    const output = newOutput().open(logs.dir);
    logs.append("stdout", "0123456789");
    expect(await output.sizes()).toMatchObject({ stdoutBytes: 10 });
    truncateSync(logs.path("stdout"), 0);
    logs.append("stdout", "45%\n");
    const sizes = { stdoutBytes: 14, stdoutFirstOffset: 10, truncations: { stdout: 1 } };
    for (let n = 0; n < 2; n += 1) expect(await output.sizes()).toMatchObject(sizes);
    expect(await output.resolveStart({ streams: ["stdout"] })).toEqual({ stdout: 10 });
    expect(await output.resolveStart({ streams: ["stdout"], tailLines: 1 })).toEqual({
      stdout: 10,
    });
    expect(await output.progress()).toMatchObject({ percent: 45 });
    const { value } = await output.chunks({ stdout: 12 }).next();
    expect(value).toMatchObject({ offset: 12, data: Buffer.from("%\n") });
  });

  test("ends the line that was begun, for those who follow lines", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "one\ntw");
    const end = new AbortController();
    const lines = newOutput().open(logs.dir).lines({ stdout: 0 }, { ended: end.signal });
    expect((await lines.next()).value).toMatchObject({ text: "one" });
    const next = lines.next();
    truncateSync(logs.path("stdout"), 0);
    expect((await next).value).toMatchObject({ text: "tw", terminator: "none" });
    expect((await lines.next()).value).toMatchObject({ offset: 6, text: "", isTruncation: true });
    logs.append("stdout", "o\n");
    expect((await lines.next()).value).toMatchObject({ offset: 6, text: "o" });
    end.abort();
    expect(await lines.next()).toMatchObject({ done: true });
  });
});
