import { execFileSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { JobDir } from "../../../src/core/job-dir.js";
import { describe, expect, test } from "vitest";
import type { OutputChunk, OutputLine } from "../../../src/contract/procman.js";
import { STREAMS } from "../../../src/contract/job.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { Collected, collect, JobLogs } from "./job-logs.js";
import { newOutput } from "./new-output.js";

const BOTH = { stdout: 0, stderr: 0 };

function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE((i * 2_654_435_761 + seed) >>> 0, i);
  return bytes;
}

async function collectLines(lines: AsyncIterable<OutputLine>): Promise<OutputLine[]> {
  const all = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe("sizes", () => {
  test("are those of the files; of a log that is not there, 0, and that it is not there", async () => {
    const logs = new JobLogs();
    expect(await newOutput().open(logs.dir).sizes()).toMatchObject({
      stdoutBytes: 0,
      stderrBytes: 0,
    });
    logs.append("stderr", "12345");
    expect(await newOutput().open(logs.dir).sizes()).toEqual({
      stdoutBytes: 0,
      stderrBytes: 5,
      stdoutFirstOffset: 0,
      stderrFirstOffset: 0,
      missingLogs: ["stdout"],
    });
  });

  test("of a log that was deleted are those that were seen last; it can be read no more", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "12345");
    const output = newOutput().open(logs.dir);
    await output.sizes();
    rmSync(logs.path("stdout"));
    expect(await output.sizes()).toMatchObject({ stdoutBytes: 5, missingLogs: ["stdout"] });
    const from = await output.resolveStart({ stdoutOffset: 5 });
    expect((await collect(output.chunks(from))).size("stdout")).toBe(0);
  });

  test("of a log in whose place there is a FIFO: nothing waits for it", async () => {
    const logs = JobLogs.started();
    rmSync(logs.path("stdout"));
    execFileSync("mkfifo", [logs.path("stdout")]);
    const output = newOutput().open(logs.dir);
    expect(await output.sizes()).toMatchObject({ stdoutBytes: 0, missingLogs: ["stdout"] });
    const from = await output.resolveStart({ tailLines: 1 });
    expect((await collect(output.chunks(from))).size("stdout")).toBe(0);
  });

  test.each(STREAMS)("an error of the file system with %s says what was tried", async (stream) => {
    const logs = JobLogs.started();
    writeFileSync(join(logs.dir.path, "file"), "");
    rmSync(logs.path(stream));
    symlinkSync("file/none", logs.path(stream));
    await expect(newOutput().open(logs.dir).sizes()).rejects.toMatchObject({
      reason: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining(logs.path(stream)),
      cause: { code: "ENOTDIR" },
    });
  });
});

describe("chunks without follow", () => {
  test("give the bytes of both streams", async () => {
    const logs = JobLogs.started();
    const stdout = pattern(3 * CHUNK_BYTES + 17, 1);
    const stderr = pattern(CHUNK_BYTES, 2);
    logs.append("stdout", stdout);
    logs.append("stderr", stderr);
    const got = await collect(newOutput().open(logs.dir).chunks(BOTH));
    expect(got.bytes("stdout").equals(stdout)).toBe(true);
    expect(got.bytes("stderr").equals(stderr)).toBe(true);
  });

  test("begin at the positions given, and leave out the stream that has none", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "0123456789");
    logs.append("stderr", "x");
    const got = await collect(
      newOutput().open(logs.dir).chunks({ stdout: 4 }),
      new Collected({ stdout: 4 }),
    );
    expect(got.bytes("stdout").toString()).toBe("456789");
    expect(got.size("stderr")).toBe(0);
    expect((await collect(newOutput().open(logs.dir).chunks({}))).size("stdout")).toBe(0);
  });

  test("are of CHUNK_BYTES, of both streams in turn", async () => {
    const logs = JobLogs.started();
    for (const stream of ["stdout", "stderr"] as const) logs.append(stream, pattern(200_000, 3));
    const seen: [string, number][] = [];
    for await (const { stream, data } of newOutput().open(logs.dir).chunks(BOTH)) {
      seen.push([stream, data.length]);
    }
    const rest = 200_000 - 3 * CHUNK_BYTES;
    expect(seen).toEqual(
      [CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, rest].flatMap((length) => [
        ["stdout", length],
        ["stderr", length],
      ]),
    );
  });

  test("end at the size there was at the beginning", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "before");
    const got = new Collected();
    for await (const chunk of newOutput().open(logs.dir).chunks(BOTH)) {
      got.add(chunk);
      logs.append("stdout", "after");
      logs.append("stderr", "after");
    }
    expect(got.bytes("stdout").toString()).toBe("before");
    expect(got.size("stderr")).toBe(0);
  });

  test("of logs that are not there are none", async () => {
    const got = await collect(newOutput().open(new JobLogs().dir).chunks(BOTH));
    expect(got.size("stdout") + got.size("stderr")).toBe(0);
  });

  test("are the consumer's to keep", async () => {
    const logs = JobLogs.started();
    const stdout = pattern(5 * CHUNK_BYTES + 1, 4);
    logs.append("stdout", stdout);
    const kept: OutputChunk[] = [];
    for await (const chunk of newOutput().open(logs.dir).chunks(BOTH)) kept.push(chunk);
    expect(new Set(kept.map((chunk) => chunk.data.buffer)).size).toBe(kept.length);
    expect(Buffer.concat(kept.map((chunk) => chunk.data)).equals(stdout)).toBe(true);
  });

  test("read nothing that was not asked for", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", Buffer.alloc(2 * CHUNK_BYTES, "a"));
    const chunks = newOutput().open(logs.dir).chunks(BOTH);
    await chunks.next();
    // What is overwritten after the first chunk was taken is seen by the second.
    const fd = openSync(logs.path("stdout"), "r+");
    ftruncateSync(fd, CHUNK_BYTES);
    ftruncateSync(fd, 2 * CHUNK_BYTES);
    closeSync(fd);
    const { value } = await chunks.next();
    expect(value?.data.every((byte: number) => byte === 0)).toBe(true);
    await chunks.return();
  });

  test("fail for a position behind the end, naming the field", async () => {
    const logs = JobLogs.started();
    logs.append("stderr", "12345");
    await expect(newOutput().open(logs.dir).chunks({ stderr: 6 }).next()).rejects.toMatchObject({
      reason: "OFFSET_OUT_OF_RANGE",
      violations: [{ field: "stderr_offset" }],
    });
  });

  test("go on with what there is when the log is truncated meanwhile", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", Buffer.alloc(2 * CHUNK_BYTES));
    const chunks = newOutput().open(logs.dir).chunks(BOTH);
    await chunks.next();
    writeFileSync(logs.path("stdout"), "new");
    const offset = 2 * CHUNK_BYTES;
    expect((await chunks.next()).value).toMatchObject({ offset, isTruncation: true });
    expect((await chunks.next()).value).toMatchObject({ offset, data: Buffer.from("new") });
    expect(await chunks.next()).toMatchObject({ done: true });
  });

  test("fail as the file system does", async () => {
    const dir = tempDir();
    mkdirSync(join(dir, "stdout.log"));
    await expect(collect(newOutput().open(new JobDir(dir)).chunks(BOTH))).rejects.toMatchObject({
      name: "ProcmanError",
      message: expect.stringContaining("stdout.log"),
      cause: { code: "EISDIR" },
    });
  });
});

describe("lines without follow", () => {
  test("are those of each stream, with what they tell of progress", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", "one\r\n\n45%\rlast");
    logs.append("stderr", "oops\n");
    const lines = await collectLines(newOutput().open(logs.dir).lines(BOTH));
    expect(lines.filter((l) => l.stream === "stdout")).toEqual([
      { stream: "stdout", text: "one", offset: 0, nextOffset: 5, terminator: "crlf" },
      { stream: "stdout", text: "", offset: 5, nextOffset: 6, terminator: "lf" },
      {
        stream: "stdout",
        text: "45%",
        offset: 6,
        nextOffset: 10,
        terminator: "cr",
        progress: { percent: 45, unit: "", text: "45%" },
      },
      { stream: "stdout", text: "last", offset: 10, nextOffset: 14, terminator: "none" },
    ]);
    expect(lines.filter((l) => l.stream === "stderr")).toEqual([
      { stream: "stderr", text: "oops", offset: 0, nextOffset: 5, terminator: "lf" },
    ]);
  });

  test("go over the borders of chunks, from any offset", async () => {
    const logs = JobLogs.started();
    const texts = Array.from({ length: 30_000 }, (_, i) => `line ${i} ${"é".repeat(i % 7)}`);
    logs.append("stdout", texts.join("\r\n"));
    const lines = await collectLines(newOutput().open(logs.dir).lines({ stdout: 0 }));
    expect(lines.map((line) => line.text)).toEqual(texts);
    const from = lines[20_000]?.offset ?? 0;
    expect(await collectLines(newOutput().open(logs.dir).lines({ stdout: from }))).toEqual(
      lines.slice(20_000),
    );
  });
});
