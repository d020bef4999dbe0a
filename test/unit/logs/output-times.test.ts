import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { thinnedSpans } from "../../../src/core/output-spans.js";
import type { OutputSpan } from "../../../src/core/ports.js";
import { lastWriteMs, SpanTimes } from "../../../src/logs/times/output-times.js";
import { tempDir } from "../../helpers/temp-dir.js";

const stream = "stdout";
const at = (ms: number) => new Date(ms);

function span(begin: number, end: number, fromMs: number, toMs: number): OutputSpan {
  return { stream, begin, end, fromMs, toMs };
}

/** What is known of a job that began at 0, now that it is 10 000. */
function timesOf(...spans: readonly OutputSpan[]): SpanTimes {
  return new SpanTimes({ spans, beganMs: 0, openEnd: () => ({ toMs: 10_000 }) });
}

function between(times: SpanTimes, begin: number, end: number, seenMs?: number) {
  const seenTime = seenMs === undefined ? undefined : at(seenMs);
  const { from, to, unobserved } = times.writtenBetween(stream, begin, end, seenTime);
  return [from.getTime(), to.getTime(), ...(unobserved ? ["unobserved"] : [])];
}

describe("bytes were written between", () => {
  const times = timesOf(span(0, 10, 100, 1000), span(10, 20, 1000, 2000), span(30, 40, 7000, 8000));

  test.each([
    ["the looks before and after", [0, 10], [100, 1000]],
    ["those of the first and of the last byte", [5, 11], [100, 2000]],
    ["a look and the next one that is known", [20, 30], [2000, 7000, "unobserved"]],
    ["the same, with bytes that were seen", [19, 25], [1000, 7000, "unobserved"]],
    ["the last look and now", [40, 45], [8000, 10_000]],
    ["looks, also where there are no bytes", [10, 10], [1000, 2000]],
  ] as const)("%s", (_, [begin, end], expected) => {
    expect(between(times, begin, end)).toEqual(expected);
  });

  test("the last look and when they were seen", () => {
    expect(between(times, 40, 45, 8500)).toEqual([8000, 8500]);
    expect(between(times, 30, 35, 7100)).toEqual([7000, 7100]);
  });

  test("the job's beginning and its end, where nobody looked", () => {
    expect(between(timesOf(), 0, 5)).toEqual([0, 10_000, "unobserved"]);
  });

  test("two times of which the clock says that the later one was first", () => {
    expect(between(timesOf(span(0, 5, 3000, 1000)), 0, 5)).toEqual([1000, 3000]);
    const back = timesOf(span(0, 5, 5000, 6000), span(10, 15, 2000, 3000));
    expect(between(back, 5, 10)).toEqual([2000, 6000, "unobserved"]);
  });

  test("looks at what the log holds now, where it was truncated unseen", () => {
    const anew = timesOf(span(0, 50, 0, 100), span(50, 60, 100, 200), span(20, 30, 5000, 5100));
    expect(between(anew, 10, 15)).toEqual([0, 100]);
    expect(between(anew, 20, 30)).toEqual([5000, 5100]);
    expect(between(anew, 30, 31)).toEqual([5100, 10_000, "unobserved"]);
  });
});

describe("a period", () => {
  const times = timesOf(span(0, 10, 100, 1000), span(10, 20, 1000, 2000), span(30, 40, 7000, 8000));

  test.each([
    [0, 0],
    [1000, 0],
    [1001, 10],
    [2000, 10],
    [2001, 20],
    [7000, 20],
    [7001, 30],
    [8001, 40],
    [10_000, 40],
    [10_001, Number.POSITIVE_INFINITY],
  ])("since %i begins at byte %i", (ms, byte) => {
    expect(times.beginOf(stream, at(ms))).toBe(byte);
  });

  test.each([
    [99, 0],
    [100, 10],
    [999, 10],
    [1000, 20],
    [1999, 20],
    [2000, 30],
    [7000, 40],
    [7999, 40],
    [8000, Number.POSITIVE_INFINITY],
  ])("until %i ends at byte %i", (ms, byte) => {
    expect(times.endOf(stream, at(ms))).toBe(byte);
  });

  test("of the other stream is its own", () => {
    expect(times.beginOf("stderr", at(5000))).toBe(0);
    expect(times.endOf("stderr", at(5000))).toBe(Number.POSITIVE_INFINITY);
  });
});

test("what is seen later counts, and closing is told", () => {
  let closed = 0;
  const openEnd = () => ({ fromMs: 4000, toMs: 5000 });
  const times = new SpanTimes({ spans: [], beganMs: 0, openEnd, onClose: () => (closed += 1) });
  expect(between(times, 0, 5)).toEqual([4000, 5000]);
  times.add(span(0, 5, 4100, 4200));
  expect(between(times, 0, 5)).toEqual([4100, 4200]);
  times.close();
  expect(closed).toBe(1);
});

/** A log's whole story: bytes that are written, looks at it, servers that end and begin. */
const story = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ wait: fc.nat(3000), write: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 3, arbitrary: fc.record({ wait: fc.nat(3000), look: fc.constant(true) }) },
    { weight: 1, arbitrary: fc.record({ wait: fc.nat(3000), restart: fc.constant(true) }) },
  ),
  { maxLength: 40 },
);

test("whatever is seen, lost and joined, no byte was written at another time than is said", () => {
  fc.assert(
    fc.property(
      story,
      fc.array(fc.nat(40)),
      fc.nat(2),
      fc.nat(100_000),
      (steps, lost, thin, time) => {
        let nowMs = 0;
        const writtenMs: number[] = [];
        let spans: OutputSpan[] = [];
        let known = { size: 0, ms: 0 };
        for (const step of steps) {
          nowMs += step.wait;
          if ("write" in step) {
            for (let n = 0; n < step.write; n += 1) writtenMs.push(nowMs);
            continue;
          }
          const size = writtenMs.length;
          const isNew = "restart" in step;
          if (isNew) spans.push(span(size, size, nowMs, nowMs));
          else if (size > known.size) spans.push(span(known.size, size, known.ms, nowMs));
          known = { size, ms: nowMs };
        }
        spans = spans.filter((_, index) => !lost.includes(index));
        for (let n = 0; n < thin; n += 1) spans = thinnedSpans(spans, spans.length);
        const times = new SpanTimes({ spans, beganMs: 0, openEnd: () => ({ toMs: nowMs }) });
        for (const [offset, ms] of writtenMs.entries()) {
          const { from, to } = times.writtenBetween(stream, offset, offset + 1);
          expect(from.getTime()).toBeLessThanOrEqual(ms);
          expect(to.getTime()).toBeGreaterThanOrEqual(ms);
        }
        const begin = times.beginOf(stream, at(time));
        const end = times.endOf(stream, at(time));
        expect(
          writtenMs.findIndex((ms) => ms >= time) >= begin || !writtenMs.some((ms) => ms >= time),
        ).toBe(true);
        expect(writtenMs.findLastIndex((ms) => ms <= time)).toBeLessThan(Math.max(end, 1e-9));
      },
    ),
    { numRuns: 500 },
  );
});

describe("after all that a log holds was written", () => {
  test("comes the job's end, or what its file says of those that it has left behind", () => {
    const path = join(tempDir(), "log");
    writeFileSync(path, "x");
    const now = Date.now();
    utimesSync(path, at(now - 60_000), at(now - 60_000));
    expect(lastWriteMs(path, now - 90_000, now)).toBeCloseTo(now - 60_000 + 20, -2);
    expect(lastWriteMs(path, now - 30_000, now)).toBe(now - 30_000);
    utimesSync(path, at(now + 60_000), at(now + 60_000));
    expect(lastWriteMs(path, now - 30_000, now)).toBe(now);
    expect(lastWriteMs(`${path}/x`, 5, now)).toBe(now);
    expect(lastWriteMs(`${path}s`, 5, now)).toBe(20);
  });
});
