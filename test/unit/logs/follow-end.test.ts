import { symlinkSync, truncateSync, unlinkSync } from "node:fs";
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
  test("is an error that says so, and no silence", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "0123456789");
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    await chunks.next();
    const next = chunks.next();
    truncateSync(logs.path("stdout"), 3);
    await expect(next).rejects.toMatchObject({
      reason: "OFFSET_OUT_OF_RANGE",
      violations: [
        {
          field: "stdout_offset",
          description: "10 is beyond the end of stdout, which has 3 bytes",
        },
      ],
    });
  });
});
