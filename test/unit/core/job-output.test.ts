import { describe, expect, test, vi } from "vitest";
import { NO_OUTPUT, type OutputSizes, type Progress } from "../../../src/contract/job.js";
import { JobOutput } from "../../../src/core/job-output.js";
import { WATCHED_POLL_RATIO } from "../../../src/platform/watch-path.js";
import type { JobLogs } from "../../../src/core/ports.js";

const sizesOf = (stdoutBytes: number, stderrBytes = 0): OutputSizes => ({
  ...NO_OUTPUT,
  stdoutBytes,
  stderrBytes,
});

/** Logs as large as the test says, whose progress is told by their size. */
function writtenLogs() {
  const written = { sizes: NO_OUTPUT };
  const progressOf = ({ stdoutBytes }: OutputSizes): Progress => ({
    current: stdoutBytes,
    unit: "B",
    text: "",
  });
  const logs = {
    sizes: vi.fn<JobLogs["sizes"]>(async () => written.sizes),
    progress: vi.fn<JobLogs["progress"]>(async () => progressOf(written.sizes)),
    watch: vi.fn<JobLogs["watch"]>(() => undefined),
  };
  const output = new JobOutput(() => logs as unknown as JobLogs);
  const read = async () => {
    const { sizes, progress } = await output.read();
    return [sizes.stdoutBytes, progress?.current];
  };
  return { written, logs, output, read };
}

const unreadable = () => Promise.reject(new Error("I/O error"));

describe("what was written", () => {
  test("is told with the progress, which is looked for only in what is new", async () => {
    const { written, logs, read } = writtenLogs();
    expect(await read()).toEqual([0, undefined]);
    written.sizes = sizesOf(5);
    expect([await read(), await read()]).toEqual([
      [5, 5],
      [5, 5],
    ]);
    expect(logs.progress).toHaveBeenCalledTimes(1);
    written.sizes = sizesOf(5, 1);
    await read();
    expect(logs.progress).toHaveBeenCalledTimes(2);
  });

  test("is told from where it begins by now", async () => {
    const { written, output } = writtenLogs();
    written.sizes = sizesOf(5);
    await output.read();
    written.sizes = { ...sizesOf(5), stdoutFirstOffset: 3 };
    expect((await output.read()).sizes.stdoutFirstOffset).toBe(3);
  });

  test("never shrinks, though one who looked earlier returns later", async () => {
    const { written, logs, output, read } = writtenLogs();
    await read();
    let answer: (sizes: OutputSizes) => void = () => {};
    logs.sizes.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
    const slow = output.read();
    written.sizes = sizesOf(5);
    expect(await read()).toEqual([5, 5]);
    answer(sizesOf(0));
    expect((await slow).sizes.stdoutBytes).toBe(5);
  });

  test("is the same object as long as nothing has changed", async () => {
    const { written, output } = writtenLogs();
    written.sizes = sizesOf(5, 1);
    const first = await output.read();
    written.sizes = { ...written.sizes };
    expect(await output.read()).toBe(first);
    const changes: Partial<OutputSizes>[] = [
      { stdoutFirstOffset: 1 },
      { stderrFirstOffset: 1 },
      { truncations: { stdout: 1 } },
      { missingLogs: ["stderr"] },
      { stdoutBytes: 4, stderrBytes: 2 },
    ];
    for (const change of changes) {
      written.sizes = { ...sizesOf(5, 1), ...change };
      expect((await output.read()).sizes).toEqual(written.sizes);
    }
  });

  test("is what it was, where the logs cannot be read now", async () => {
    const { written, logs, read } = writtenLogs();
    logs.sizes.mockImplementationOnce(unreadable);
    expect(await read()).toEqual([0, undefined]);
    written.sizes = sizesOf(5);
    await read();
    written.sizes = sizesOf(7);
    logs.sizes.mockImplementationOnce(unreadable);
    expect(await read()).toEqual([5, 5]);
    logs.progress.mockImplementationOnce(unreadable);
    expect(await read()).toEqual([7, 5]);
  });

  test("never becomes less by a look that is overtaken", async () => {
    const { written, logs, output, read } = writtenLogs();
    written.sizes = sizesOf(5);
    let answer: (progress: Progress) => void = () => {};
    const slow = new Promise<Progress>((resolve) => (answer = resolve));
    logs.progress.mockImplementationOnce(() => slow);
    const overtaken = output.read();
    await new Promise(setImmediate);
    written.sizes = sizesOf(9);
    expect(await read()).toEqual([9, 9]);
    answer({ current: 5, unit: "B", text: "" });
    expect((await overtaken).sizes.stdoutBytes).toBe(9);
    expect(await read()).toEqual([9, 9]);
    expect(logs.progress).toHaveBeenCalledTimes(2);
  });

  test("is less once it was taken back, also by a look that began before", async () => {
    const { written, logs, output, read } = writtenLogs();
    written.sizes = sizesOf(5);
    await read();
    written.sizes = sizesOf(9);
    let answer: (progress: Progress) => void = () => {};
    const slow = new Promise<Progress>((resolve) => (answer = resolve));
    logs.progress.mockImplementationOnce(() => slow);
    const overtaken = output.read();
    await new Promise(setImmediate);
    written.sizes = NO_OUTPUT;
    output.forget();
    expect(await read()).toEqual([0, undefined]);
    answer({ current: 9, unit: "B", text: "" });
    expect((await overtaken).sizes.stdoutBytes).toBe(0);
    expect(await read()).toEqual([0, undefined]);
  });

  test("stays while it is frozen", async () => {
    const { written, output, read } = writtenLogs();
    written.sizes = sizesOf(5);
    await output.freeze();
    written.sizes = NO_OUTPUT;
    expect(await read()).toEqual([5, 5]);
    output.thaw();
    written.sizes = sizesOf(7);
    expect(await read()).toEqual([7, 7]);
  });
});

describe("growth", () => {
  test("is what was written since the last call, to either log", async () => {
    const { written, output } = writtenLogs();
    expect(await output.hasGrown()).toBe(false);
    written.sizes = sizesOf(5);
    expect([await output.hasGrown(), await output.hasGrown()]).toEqual([true, false]);
    written.sizes = sizesOf(5, 1);
    expect([await output.hasGrown(), await output.hasGrown()]).toEqual([true, false]);
    // That output was removed is none.
    written.sizes = { ...sizesOf(5, 1), stdoutFirstOffset: 3 };
    expect(await output.hasGrown()).toBe(false);
  });

  test("that could not be seen is seen at the next call", async () => {
    const { written, logs, output } = writtenLogs();
    written.sizes = sizesOf(5);
    logs.sizes.mockImplementationOnce(unreadable);
    expect([await output.hasGrown(), await output.hasGrown()]).toEqual([false, true]);
  });

  describe("that the kernel tells of", () => {
    function watchedLogs() {
      const of = writtenLogs();
      const close = vi.fn<() => void>();
      let tell = () => {};
      of.logs.watch.mockImplementation((onChange) => {
        tell = onChange;
        return { close };
      });
      return { ...of, close, tell: () => tell() };
    }

    test("is looked for only once it was told of, and now and then", async () => {
      const { written, logs, output, close, tell } = watchedLogs();
      written.sizes = sizesOf(5);
      // Now it has grown, then it is watched, and looked at once more.
      expect([await output.hasGrown(), await output.hasGrown()]).toEqual([true, false]);
      expect(logs.watch).toHaveBeenCalledTimes(1);
      const looks = logs.sizes.mock.calls.length;
      const asked = Array.from({ length: 2 * WATCHED_POLL_RATIO }, () => output.mayHaveGrown());
      expect(asked.filter((each) => each)).toHaveLength(2);
      expect(await output.hasGrown()).toBe(false);
      expect(logs.sizes.mock.calls.length).toBe(looks + 1);
      written.sizes = sizesOf(6);
      tell();
      expect(close).toHaveBeenCalledTimes(1);
      expect(output.mayHaveGrown()).toBe(true);
      expect([await output.hasGrown(), await output.hasGrown()]).toEqual([true, false]);
      expect(logs.watch).toHaveBeenCalledTimes(2);
    });

    test("is found without being told of, a few calls later", async () => {
      const { written, output } = watchedLogs();
      await output.hasGrown();
      written.sizes = sizesOf(5);
      let calls = 1;
      while (!output.mayHaveGrown()) calls += 1;
      expect(calls).toBeLessThanOrEqual(WATCHED_POLL_RATIO);
      expect(await output.hasGrown()).toBe(true);
    });

    test("is not missed where it comes while the watch begins", async () => {
      const { written, logs, output } = watchedLogs();
      logs.watch.mockImplementation(() => {
        written.sizes = sizesOf(5);
        return { close: () => {} };
      });
      expect(await output.hasGrown()).toBe(true);
    });

    test("is not told of any more once nobody wants to know", async () => {
      const { output, close } = watchedLogs();
      await output.hasGrown();
      output.stopWatching();
      expect(close).toHaveBeenCalledTimes(1);
    });
  });
});
