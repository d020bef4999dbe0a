import { appendFileSync, truncateSync } from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import type { OutputSpan, OutputTimesStore } from "../../../src/core/ports.js";
import { newPlaces } from "../../../src/logs/reading/log-place.js";
import { GrowthRecorder } from "../../../src/logs/times/growth-recorder.js";
import { JobGrowth } from "../../../src/logs/times/job-growth.js";
import { fromSystemError } from "../../../src/contract/errors.js";
import { JobLogs } from "./job-logs.js";

const INTERVAL_MS = 1000;

/** The recorder, on real logs, with a clock and a kernel of its own. */
function setUp({ isNew = true, watchable = true } = {}) {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date", "setImmediate"] });
  onTestFinished(() => void vi.useRealTimers());
  vi.setSystemTime(100_000);
  const logs = JobLogs.started();
  const places = newPlaces();
  const stored: OutputSpan[] = [];
  const state = { failure: undefined as Error | undefined, watches: 0, writes: 0 };
  const notify: (() => void)[] = [];
  const store: OutputTimesStore = {
    read: () => [...stored],
    append: (_dir, spans) => {
      state.writes += 1;
      if (state.failure) throw state.failure;
      stored.push(...spans);
    },
  };
  const warn = vi.fn<(fields: object, message: string) => void>();
  const shared = new GrowthRecorder({
    store,
    watch: (_path, onChange) => {
      if (!watchable) return undefined;
      state.watches += 1;
      notify.push(onChange);
      return { close: () => void (state.watches -= 1) };
    },
    log: { info: warn, warn, error: warn },
    intervalMs: INTERVAL_MS,
  });
  const open = (beganMs: number | undefined) => {
    const growth = new JobGrowth(shared, { dir: logs.dir, places: () => places, beganMs });
    onTestFinished(() => growth.end());
    return growth;
  };
  const tick = (count = 1) => vi.advanceTimersByTime(count * INTERVAL_MS);
  return {
    growth: open(isNew ? 100_000 : undefined),
    open,
    logs,
    stored,
    state,
    warn,
    tick,
    notice: () => notify.at(-1)?.(),
    print: (text: string) => appendFileSync(logs.path("stdout"), text),
  };
}

function span(begin: number, end: number, fromMs: number, toMs: number): OutputSpan {
  return { stream: "stdout", begin, end, fromMs, toMs };
}

test("while a log grows it is looked at once a second, and what is seen is written together", () => {
  const { print, tick, stored, state, growth } = setUp();
  print("a");
  tick();
  print("b");
  tick();
  expect(growth.unwritten).toEqual([span(0, 1, 100_000, 101_000), span(1, 2, 101_000, 102_000)]);
  expect(state.writes).toBe(0);
  print("c");
  tick();
  expect(stored).toHaveLength(3);
  expect(state.writes).toBe(1);
});

test("a quiet log is watched, and what comes then has its time", () => {
  const { print, tick, notice, stored, state, growth } = setUp();
  tick(5);
  expect(state.watches).toBe(1);
  tick(55);
  vi.advanceTimersByTime(250);
  print("hello");
  notice();
  expect(growth.unwritten).toEqual([span(0, 5, 160_000, 160_250)]);
  expect(state.watches).toBe(0);
  tick(6);
  expect(state.watches).toBe(1);
  expect(stored).toEqual([span(0, 5, 160_000, 160_250)]);
});

test("what is written where the kernel tells nothing is found all the same", () => {
  const { print, tick, stored } = setUp({ watchable: false });
  tick(5);
  print("a");
  tick(15);
  expect(stored).toMatchObject([{ begin: 0, end: 1 }]);
  const lost = setUp();
  lost.tick(5);
  lost.print("a");
  // The notice was dropped.
  lost.tick(70);
  expect(lost.stored).toMatchObject([{ begin: 0, end: 1 }]);
});

test("a job that ends before the first tick leaves nothing; one that ends later, its last output", () => {
  const short = setUp();
  short.print("a");
  short.growth.end();
  short.tick(3);
  expect(short.state).toMatchObject({ writes: 0, watches: 0 });
  const { print, tick, growth, stored, state } = setUp();
  tick(4);
  print("last");
  growth.end();
  expect(stored).toMatchObject([{ begin: 0, end: 4 }]);
  expect(state.watches).toBe(0);
  print("more");
  growth.look();
  growth.end();
  tick(3);
  expect(stored).toHaveLength(1);
});

test("a server that takes a job over notes how long its logs are, where that is news", () => {
  const { print, tick, growth, stored, open } = setUp({ isNew: false });
  print("while nobody looked");
  tick();
  expect(growth.unwritten).toEqual([span(19, 19, 101_000, 101_000)]);
  growth.end();
  expect(stored).toHaveLength(1);
  const next = open(undefined);
  tick();
  expect(next.unwritten).toEqual([]);
});

test("a server that leaves notes that nothing more was there", () => {
  const { tick, growth, stored, state } = setUp();
  tick(20);
  growth.leave();
  growth.leave();
  expect(stored).toEqual([
    span(0, 0, 120_000, 120_000),
    { ...span(0, 0, 120_000, 120_000), stream: "stderr" },
  ]);
  expect(state.watches).toBe(0);
  const short = setUp();
  short.growth.leave();
  expect(short.state.writes).toBe(0);
});

test("where nothing can be written it is kept, joined where it becomes much, and written later", () => {
  const { print, tick, stored, state, warn, growth } = setUp();
  state.failure = fromSystemError(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }), "write");
  for (let n = 0; n < 200; n += 1) {
    print("x");
    tick();
  }
  expect(growth.unwritten.length).toBeLessThan(80);
  expect(warn).toHaveBeenCalledOnce();
  state.failure = undefined;
  tick(3);
  expect(stored[0]).toMatchObject({ begin: 0, fromMs: 100_000 });
  expect(stored.at(-1)).toMatchObject({ end: 200, toMs: 300_000 });
});

test("of a job that was removed nothing is said", () => {
  const { print, tick, state, warn, growth } = setUp();
  state.failure = fromSystemError(Object.assign(new Error("ENOENT"), { code: "ENOENT" }), "write");
  print("x");
  tick(5);
  growth.end();
  expect(state.writes).toBeGreaterThan(0);
  expect(warn).not.toHaveBeenCalled();
});

test("a log that was truncated goes on behind what was seen", () => {
  const { print, tick, growth, logs } = setUp();
  print("12345");
  tick();
  truncateSync(logs.path("stdout"));
  print("6");
  tick();
  expect(growth.unwritten.map(({ begin, end }) => [begin, end])).toEqual([
    [0, 5],
    [5, 6],
  ]);
});

test("1000 quiet jobs are looked at so seldom that it costs nothing", () => {
  const { state, tick, open } = setUp();
  const places = vi.fn(newPlaces);
  for (let n = 0; n < 999; n += 1) open(100_000);
  tick(5);
  expect(state.watches).toBe(1000);
  places.mockClear();
  const looks = vi.spyOn(JobGrowth.prototype, "look");
  tick(60);
  expect(looks.mock.calls.length).toBeLessThan(1100);
  looks.mockRestore();
});
