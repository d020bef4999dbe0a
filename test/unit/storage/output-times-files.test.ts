import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import { thinnedSpans } from "../../../src/core/output-spans.js";
import type { OutputSpan } from "../../../src/core/ports.js";
import { outputTimesFiles } from "../../../src/storage/output-times-files.js";
import { tempDir } from "../../helpers/temp-dir.js";

const RECORD_BYTES = 32;
const T0 = Date.parse("2026-01-01");

function span(
  begin: number,
  end: number,
  seconds: number,
  stream: OutputSpan["stream"] = "stdout",
) {
  return { stream, begin, end, fromMs: T0 + seconds * 1000, toMs: T0 + seconds * 1000 + 900 };
}

function newDir(): JobDir {
  return new JobDir(tempDir());
}

function withSpans(...spans: readonly OutputSpan[]): JobDir {
  const dir = newDir();
  outputTimesFiles.append(dir, spans);
  return dir;
}

const THREE = [span(0, 10, 0), span(0, 2 ** 40, 1, "stderr"), span(10, 10, 2)];

test("what was appended is read, in the order of each stream; nobody else may", () => {
  const dir = withSpans(...THREE.slice(0, 2));
  outputTimesFiles.append(dir, THREE.slice(2));
  expect(outputTimesFiles.read(dir)).toEqual(THREE);
  expect(statSync(dir.outputTimes).mode & 0o777).toBe(0o600);
});

test("a job that has none has been seen by nobody", () => {
  expect(outputTimesFiles.read(newDir())).toEqual([]);
});

describe("a file that is damaged", () => {
  test.each([1, 15, 31])("a torn record of %i bytes is passed over, and then replaced", (bytes) => {
    const dir = withSpans(...THREE);
    truncateSync(dir.outputTimes, 2 * RECORD_BYTES + bytes);
    expect(outputTimesFiles.read(dir)).toEqual(THREE.slice(0, 2));
    const later = span(20, 30, 5);
    outputTimesFiles.append(dir, [later]);
    expect(outputTimesFiles.read(dir)).toEqual([...THREE.slice(0, 2), later]);
    expect(statSync(dir.outputTimes).size).toBe(3 * RECORD_BYTES);
  });

  test("any byte of a record that is wrong makes that record unknown, and no other", () => {
    const dir = withSpans(...THREE);
    const whole = readFileSync(dir.outputTimes);
    for (let at = 0; at < RECORD_BYTES; at += 1) {
      const damaged = Buffer.from(whole);
      damaged[RECORD_BYTES + at] = (damaged[RECORD_BYTES + at] as number) ^ 0x41;
      writeFileSync(dir.outputTimes, damaged);
      const expected = [THREE[0], THREE[2]];
      expect(outputTimesFiles.read(dir), `byte ${at}`).toEqual(expected);
    }
  });

  test("anything at all in its place says nothing, and the next records count", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        const dir = newDir();
        writeFileSync(dir.outputTimes, garbage);
        expect(outputTimesFiles.read(dir)).toEqual([]);
        outputTimesFiles.append(dir, THREE);
        expect(outputTimesFiles.read(dir)).toEqual(THREE);
      }),
      { numRuns: 50 },
    );
  });

  test("one that is far too long is read by nobody, and replaced", () => {
    const dir = newDir();
    writeFileSync(dir.outputTimes, Buffer.alloc(2 ** 20));
    expect(outputTimesFiles.read(dir)).toEqual([]);
    outputTimesFiles.append(dir, THREE);
    outputTimesFiles.append(dir, THREE);
    expect(outputTimesFiles.read(dir)).toEqual(THREE);
  });

  test("a directory in its place is told of by who writes, and is in no reader's way", () => {
    const dir = newDir();
    mkdirSync(dir.outputTimes);
    expect(() => outputTimesFiles.append(dir, THREE)).toThrow(/write .*output-times/);
    expect(outputTimesFiles.read(dir)).toEqual([]);
  });
});

test("its size is bounded: what was seen is told less and less exactly", () => {
  const dir = newDir();
  const total = 5000;
  let batch: OutputSpan[] = [];
  for (let n = 0; n < total; n += 1) {
    batch.push(span(n, n + 1, n), span(n, n + 1, n, "stderr"));
    if (batch.length < 40) continue;
    outputTimesFiles.append(dir, batch);
    batch = [];
    expect(statSync(dir.outputTimes).size).toBeLessThanOrEqual(2048 * RECORD_BYTES);
  }
  const spans = outputTimesFiles.read(dir).filter(({ stream }) => stream === "stdout");
  expect(spans.length).toBeGreaterThan(400);
  expect(spans[0]).toMatchObject({ begin: 0, fromMs: T0 });
  expect(spans.at(-1)).toEqual(span(total - 1, total, total - 1));
  for (const [index, { begin, end, fromMs, toMs }] of spans.entries()) {
    expect(begin).toBe(spans[index - 1]?.end ?? 0);
    expect([fromMs, toMs]).toEqual([T0 + begin * 1000, T0 + (end - 1) * 1000 + 900]);
  }
});

test("two neighbours are joined, but bytes that nobody saw stay so while there is room", () => {
  const spans = [span(0, 1, 0), span(1, 2, 1), span(5, 6, 2), span(6, 7, 3), span(7, 8, 4)];
  const joined = (begin: number, end: number, from: number, to: number) => ({
    stream: "stdout" as const,
    begin,
    end,
    fromMs: T0 + from * 1000,
    toMs: T0 + to * 1000 + 900,
  });
  expect(thinnedSpans(spans, 4)).toEqual([joined(0, 2, 0, 1), joined(5, 7, 2, 3), span(7, 8, 4)]);
  const apart = [span(0, 1, 0), span(5, 6, 1), span(9, 10, 2)];
  expect(thinnedSpans(apart, 4)).toEqual(apart);
  expect(thinnedSpans(apart, 3)).toEqual([joined(0, 6, 0, 1), span(9, 10, 2)]);
  // A log that holds something else from there on is another matter.
  const anew = [span(0, 10, 0), span(3, 5, 1)];
  expect(thinnedSpans(anew, 1)).toEqual(anew);
});

test("a record that a later version adds is passed over", () => {
  const dir = withSpans(THREE[0] as OutputSpan);
  appendFileSync(dir.outputTimes, Buffer.alloc(RECORD_BYTES, 0x75));
  outputTimesFiles.append(dir, THREE.slice(1));
  expect(outputTimesFiles.read(dir)).toEqual(THREE);
});
