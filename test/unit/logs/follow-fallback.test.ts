import { describe, expect, onTestFinished, test, vi } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import { eventLoopTurn, fileOperationsDone } from "./event-loop-turn.js";
import { CountedWatches } from "./held-resources.js";
import { JobLogs } from "./job-logs.js";
import { newOutput } from "./new-output.js";

const BOTH = { stdout: 0, stderr: 0 };

describe("where the kernel does not tell", () => {
  test.each([
    ["will not watch", () => undefined],
    ["watches and stays silent, as on some network file systems", () => ({ close: () => {} })],
  ])("because it %s, logs are polled", async (_, watch) => {
    const logs = new JobLogs();
    const output = newOutput({ pollIntervalMs: 5, watch });
    const chunks = output.open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    for (const text of ["one", "two", "three"]) {
      const next = chunks.next();
      await eventLoopTurn();
      logs.append("stdout", text);
      expect(Buffer.from((await next).value?.data ?? []).toString()).toBe(text);
    }
    await chunks.return();
  });

  test("though it watches, logs are polled at each interval", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const logs = JobLogs.started();
    const output = newOutput({ pollIntervalMs: 1000, watch: () => ({ close: () => {} }) });
    const ended = new AbortController().signal;
    const chunks = output.open(logs.dir).chunks({ stdout: 0 }, { ended });
    for (const text of ["one", "two", "three"]) {
      const next = chunks.next();
      await fileOperationsDone();
      logs.append("stdout", text);
      vi.advanceTimersByTime(1000);
      expect((await next).value?.data).toHaveLength(text.length);
    }
    await chunks.return();
  });

  test("any more, although it did, logs are polled ten times less often", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const logs = JobLogs.started();
    let tell = (): void => {};
    const output = newOutput({
      pollIntervalMs: 1000,
      watch: (_path, onChange) => {
        tell = onChange;
        return { close: () => {} };
      },
    });
    const chunks = output
      .open(logs.dir)
      .chunks({ stdout: 0 }, { ended: new AbortController().signal });
    logs.append("stdout", "there before");
    await chunks.next();
    const told = chunks.next();
    logs.append("stdout", "told");
    tell();
    expect((await told).value?.data).toHaveLength(4);

    let arrived = false;
    const untold = chunks.next().then(({ value }) => {
      arrived = true;
      return value;
    });
    logs.append("stdout", "not told");
    for (let polls = 1; polls <= 9; polls += 1) {
      vi.advanceTimersByTime(1000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(arrived).toBe(false);
    vi.advanceTimersByTime(1000);
    expect((await untold)?.data).toHaveLength(8);

    // Since it was not told of, it is polled each time again.
    vi.advanceTimersByTime(1000);
    const polled = chunks.next();
    logs.append("stdout", "nor this");
    vi.advanceTimersByTime(1000);
    expect((await polled).value?.data).toHaveLength(8);
    await chunks.return();
  });

  test("of one log, but does of another, its silence is believed", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const [logs, others] = [JobLogs.started(), JobLogs.started()];
    const tell = new Map<string, () => void>();
    const output = newOutput({
      pollIntervalMs: 1000,
      watch: (path, onChange) => {
        tell.set(path, onChange);
        return { close: () => {} };
      },
    });
    const ended = new AbortController().signal;
    const silent = output.open(logs.dir).chunks({ stdout: 0 }, { ended });
    const talking = output.open(others.dir).chunks({ stdout: 0 }, { ended });
    const told = talking.next();
    let arrived = false;
    const untold = silent.next().then(({ value }) => {
      arrived = true;
      return value;
    });
    const tellOther = await eventually("both watches", () => {
      return tell.size === 2 ? tell.get(others.path("stdout")) : undefined;
    });
    others.append("stdout", "told");
    tellOther();
    expect((await told).value?.data).toHaveLength(4);

    logs.append("stdout", "not told");
    for (let polls = 1; polls <= 8; polls += 1) {
      vi.advanceTimersByTime(1000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(arrived).toBe(false);
    vi.advanceTimersByTime(2000);
    expect((await untold)?.data).toHaveLength(8);
    await silent.return();
    await talking.return();
  });

  test("because its watch was lost, the log is watched again", async () => {
    const logs = JobLogs.started();
    const losses: (() => void)[] = [];
    const watches = new CountedWatches();
    const output = newOutput({
      pollIntervalMs: 5,
      watch: (path, onChange, onLost) => {
        losses.push(onLost);
        return watches.watch(path, onChange, onLost);
      },
    });
    const chunks = output
      .open(logs.dir)
      .chunks({ stdout: 0 }, { ended: new AbortController().signal });
    const next = chunks.next();
    await eventually("a watch", () => losses[0]);
    losses[0]?.();
    await eventually("another watch", () => losses[1]);
    logs.append("stdout", "x");
    expect((await next).value?.data).toHaveLength(1);
    await chunks.return();
  });
});
