import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Stream } from "../../../src/contract/job.js";
import type { OutputPart, ReadOutputOptions } from "../../../src/contract/procman.js";
import { readOutput } from "../../../src/core/read-output.js";
import { FileLogs } from "../../../src/logs/file-logs.js";
import { JobLogs } from "../logs/job-logs.js";

const logs = new FileLogs();

function written(stdout: string | Uint8Array, stderr: string | Uint8Array = "") {
  const job = JobLogs.started();
  job.append("stdout", stdout);
  job.append("stderr", stderr);
  return async (options: ReadOutputOptions = {}) => {
    const opened = logs.open(job.dir);
    const from = await opened.resolveStart(options);
    return readOutput(opened, options, { from, reading: {}, times: undefined });
  };
}

function texts(parts: readonly OutputPart[], stream: Stream): string[] {
  return parts.flatMap((part) =>
    part.stream === stream ? [`${part.offset}:${Buffer.from(part.data).toString()}`] : [],
  );
}

describe("reads", () => {
  const read = (options?: ReadOutputOptions) => written("0123456789", "abcdef")(options);

  test("all that there is, where it fits", async () => {
    const { parts, ...next } = await read();
    expect(texts(parts, "stdout")).toEqual(["0:0123456789"]);
    expect(texts(parts, "stderr")).toEqual(["0:abcdef"]);
    expect(parts.every(({ omittedBytes }) => omittedBytes === 0)).toBe(true);
    expect(next).toEqual({ stdoutNextOffset: 10, stderrNextOffset: 6 });
  });

  test.each([
    ["both ends of both", { maxBytes: 8 }, ["0:01", "8:89"], ["0:ab", "4:ef"]],
    ["the head", { maxBytes: 6, ends: "head" }, ["0:012"], ["0:abc"]],
    ["the tail", { maxBytes: 6, ends: "tail" }, ["7:789"], ["3:def"]],
    ["what the other does not need", { maxBytes: 12, stderrOffset: 4 }, ["0:0123456789"], ["4:ef"]],
    ["one stream", { maxBytes: 3, streams: ["stderr"] }, [], ["0:ab", "5:f"]],
    ["a single byte", { maxBytes: 1, ends: "tail" }, ["9:9"], []],
    ["nothing behind the end", { stdoutOffset: 10, stderrOffset: 6 }, [], []],
  ] as const)("%s", async (_, options, stdout, stderr) => {
    const { parts } = await read(options);
    expect(texts(parts, "stdout")).toEqual(stdout);
    expect(texts(parts, "stderr")).toEqual(stderr);
  });

  test("and says how much was left out, and where to go on", async () => {
    const both = await read({ maxBytes: 4, streams: ["stdout"], stdoutOffset: 1 });
    expect(both.parts.map(({ omittedBytes }) => omittedBytes)).toEqual([0, 5]);
    expect(both.stdoutNextOffset).toBe(10);
    const tail = await read({ maxBytes: 4, streams: ["stdout"], ends: "tail" });
    expect(tail.parts.map(({ omittedBytes }) => omittedBytes)).toEqual([6]);
    const head = await read({ maxBytes: 4, streams: ["stdout"], ends: "head" });
    expect(head.stdoutNextOffset).toBe(4);
  });

  test.each([
    [{ maxBytes: -1 }, "max_bytes"],
    [{ maxBytes: 262_145 }, "max_bytes"],
    [{ maxBytes: 1.5 }, "max_bytes"],
    [{ ends: "middle" as never }, "ends"],
    [{ stdoutOffset: 11 }, "stdout_offset"],
  ])("not with %j", async (options, field) => {
    await expect(read(options)).rejects.toMatchObject({ violations: [{ field }] });
  });
});

test("no character is cut in two, and bytes that are none are all there", async () => {
  const read = written("aä€😀".repeat(3));
  for (let maxBytes = 8; maxBytes < 30; maxBytes += 1) {
    for (const ends of ["both", "head", "tail"] as const) {
      const { parts } = await read({ maxBytes, ends, streams: ["stdout"] });
      expect(parts.map(({ data }) => Buffer.from(data).toString()).join("")).not.toContain(
        "\ufffd",
      );
    }
  }
  const bytes = Buffer.alloc(12, 0x80);
  const { parts } = await written(bytes)({ maxBytes: 6, ends: "tail" });
  expect(parts.map(({ data }) => data.length)).toEqual([6]);
});

test("head after head gives every byte once, whatever they are", async () => {
  const anyBytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ unit: "binary" }));
  await fc.assert(
    fc.asyncProperty(anyBytes, fc.integer({ min: 1, max: 9 }), async (output, maxBytes) => {
      const read = written(output);
      const expected = Buffer.from(output as Uint8Array);
      const found: Uint8Array[] = [];
      for (let stdoutOffset = 0; stdoutOffset < expected.length; ) {
        const head = await read({ maxBytes, stdoutOffset, ends: "head", streams: ["stdout"] });
        found.push(...head.parts.map(({ data }) => data));
        expect(head.stdoutNextOffset).toBeGreaterThan(stdoutOffset);
        stdoutOffset = head.stdoutNextOffset;
      }
      expect(Buffer.concat(found)).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});

test("what a part of it is, is what is in the log there, within the bound", async () => {
  const bytes = fc.uint8Array({ maxLength: 60 });
  const options = fc.record({
    maxBytes: fc.integer({ min: 1, max: 60 }),
    ends: fc.constantFrom("both" as const, "head" as const, "tail" as const),
  });
  await fc.assert(
    fc.asyncProperty(bytes, bytes, options, async (stdout, stderr, given) => {
      const { parts } = await written(stdout, stderr)(given);
      const whole = { stdout, stderr };
      const sum = parts.reduce((total, { data }) => total + data.length, 0);
      expect(sum).toBeLessThanOrEqual(given.maxBytes);
      if (stdout.length + stderr.length <= given.maxBytes) {
        expect(sum).toBe(stdout.length + stderr.length);
      }
      for (const { stream, offset, data } of parts) {
        const there = whole[stream].subarray(offset, offset + data.length);
        expect(Buffer.from(data)).toEqual(Buffer.from(there));
      }
    }),
    { numRuns: 50 },
  );
});
