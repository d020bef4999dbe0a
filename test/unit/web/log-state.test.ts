import { describe, expect, test, vi } from "vitest";
import type { Job, Stream } from "../../../src/contract/job.js";
import type {
  AttachEvent,
  AttachOptions,
  BoundedOutput,
  ReadOutputOptions,
  WatchEvent,
  WatchOptions,
} from "../../../src/contract/procman.js";
import {
  fairShares,
  type LogScreen,
  LogState,
  type ScreenPiece,
  type TopPlace,
} from "../../../src/web/state/log-state.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

/** Keeps what is written to it; a row is a line. */
class FakeScreen implements LogScreen {
  text = "";
  notes: string[] = [];
  live = "";
  revealed: number | undefined;

  row = 0;
  isAtEnd = true;
  top: TopPlace | undefined;
  /** The time of each piece, and its text. */
  timed: string[] = [];

  atTop(): TopPlace | undefined {
    return this.top;
  }

  reset(): void {
    this.timed = [];
    this.text = "";
    this.row = 0;
    this.revealed = undefined;
  }

  async write({ data, isLive, writtenBetween }: ScreenPiece): Promise<number> {
    const { row } = this;
    const text = new TextDecoder().decode(data);
    this.timed.push(`${secondOf(writtenBetween?.to)} ${text}`);
    this.text += text;
    this.row += text.split("\n").length - 1;
    if (isLive) this.live += text;
    return row;
  }

  async note(text: string): Promise<void> {
    this.notes.push(text);
  }

  reveal(row: number): void {
    this.revealed = row;
  }

  firstKept(): undefined {
    return undefined;
  }

  async drawn(): Promise<void> {}

  toEnd(): void {}

  line(row: number): string | undefined {
    return this.text.split("\n")[row];
  }
}

const EPOCH_MS = 1_700_000_000_000;

function secondOf(time: Date | undefined): number | string {
  return time ? (time.getTime() - EPOCH_MS) / 1000 : "-";
}

const atSecond = (second: number) => new Date(EPOCH_MS + second * 1000);

interface TimedLine {
  readonly offset: number;
  readonly nextOffset: number;
  readonly second: number;
}

/** A job whose logs are read by offset. */
class LogProcman extends FakeProcman {
  /** When each line of a log was written, in seconds. */
  readonly seconds: Record<Stream, number[]> = { stdout: [], stderr: [] };
  readonly logs: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  reads = 0;
  watches = 0;
  status: "running" | "completed" = "completed";

  override async get(): Promise<Job> {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure as Error;
    return this.job();
  }

  override async readOutput(_: string, options: ReadOutputOptions = {}): Promise<BoundedOutput> {
    this.reads += 1;
    const { streams = [], stdoutOffset = 0, stderrOffset = 0, maxBytes = 0 } = options;
    const { sinceTime } = options;
    const since = (stream: Stream) =>
      sinceTime
        ? (this.#lines(stream).find(({ second }) => atSecond(second) >= sinceTime)?.offset ??
          this.logs[stream].length)
        : 0;
    const at = {
      stdout: Math.max(stdoutOffset, since("stdout")),
      stderr: Math.max(stderrOffset, since("stderr")),
    };
    const shares = fairShares(
      streams.map((stream) => this.logs[stream].length - at[stream]),
      maxBytes,
    );
    const parts = streams.flatMap((stream, index) => {
      const offset = at[stream];
      const data = this.logs[stream].subarray(offset, offset + (shares[index] ?? 0));
      at[stream] += data.length;
      const inside = this.#lines(stream).filter(
        (line) => line.offset >= offset && line.offset < offset + data.length,
      );
      const writtenBetween = {
        from: atSecond(inside.at(0)?.second ?? 0),
        to: atSecond(inside.at(-1)?.second ?? 0),
      };
      const part = { stream, offset, data, omittedBytes: 0 };
      if (data.length === 0) return [];
      return [options.writtenTimes ? { ...part, writtenBetween } : part];
    });
    return { job: this.job(), parts, stdoutNextOffset: at.stdout, stderrNextOffset: at.stderr };
  }

  override async *watch(_: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent> {
    const { streams: [stream = "stdout"] = [], stdoutOffset = 0, stderrOffset = 0 } = options;
    const from = stream === "stdout" ? stdoutOffset : stderrOffset;
    this.watches += 1;
    yield { type: "opened", job: this.job() };
    for (const line of this.#lines(stream)) {
      if (line.nextOffset <= from) continue;
      const writtenBetween = { from: atSecond(line.second - 1), to: atSecond(line.second) };
      yield { type: "line", stream, ...line, text: "", terminator: "lf", writtenBetween };
    }
    yield { type: "ended", job: this.job() };
  }

  readonly #linesOf = new Map<Buffer, TimedLine[]>();

  #lines(stream: Stream): TimedLine[] {
    const log = this.logs[stream];
    const known = this.#linesOf.get(log);
    if (known) return known;
    let offset = 0;
    const lines = log
      .toString()
      .split(/(?<=\n)/)
      .map((line, index) => {
        const begin = offset;
        offset += line.length;
        return { offset: begin, nextOffset: offset, second: this.seconds[stream][index] ?? 0 };
      });
    this.#linesOf.set(log, lines);
    return lines;
  }

  override async *attach(_: string, options: AttachOptions = {}): AsyncGenerator<AttachEvent> {
    const { streams = [], stdoutOffset = 0, stderrOffset = 0, signal } = options;
    yield { type: "opened", job: this.job() };
    const at = { stdout: stdoutOffset, stderr: stderrOffset };
    for (;;) {
      for (const stream of streams) {
        const data = this.logs[stream].subarray(at[stream]);
        const offset = at[stream];
        at[stream] += data.length;
        if (data.length > 0) yield { type: "chunk", stream, offset, data };
      }
      if (this.status === "completed") break;
      await new Promise((resolve) => setTimeout(resolve, 2));
      signal?.throwIfAborted();
    }
    yield { type: "ended", job: this.job() };
  }

  job(): Job {
    const { stdout, stderr } = this.logs;
    const sizes = { stdoutBytes: stdout.length, stderrBytes: stderr.length };
    const end = { exitCode: 0, completedTime: new Date() };
    return this.addJob("job1", { status: this.status, ...end, ...sizes });
  }
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}\n`).join("");

function open(stdout: string, stderr = "") {
  const procman = new LogProcman();
  procman.logs.stdout = Buffer.from(stdout);
  procman.logs.stderr = Buffer.from(stderr);
  const screen = new FakeScreen();
  return { procman, screen, log: new LogState({ procman, jobId: "job1", screen }) };
}

describe("a log", () => {
  test("that is short is shown whole", async () => {
    const { screen, log } = open(lines(0, 100), "oops\n");
    await log.follow();
    expect(screen.text).toBe(`${lines(0, 100)}oops\n`);
    expect(log.mode.value).toBe("ended");
    expect([log.hasEarlier, log.hasLater]).toEqual([false, false]);
  });

  test("that is long is shown from its end, from the beginning of a line on", async () => {
    const { screen, log } = open(lines(0, 200_000));
    await log.follow();
    expect(screen.text.length).toBeLessThan(300_000);
    expect(screen.text).toMatch(/^line \d+\n/);
    expect(screen.text.endsWith("line 199999\n")).toBe(true);
    expect(log.hasEarlier).toBe(true);
  });

  test("is read before what is shown, which stays in view, up to its beginning", async () => {
    const { screen, log } = open(lines(0, 200_000));
    await log.follow();
    const top = screen.line(0);
    await log.loadEarlier();
    expect(log.mode.value).toBe("window");
    // The line that was cut in two there is whole now.
    const shown = [0, 1].map((more) => screen.line((screen.revealed ?? 0) + more));
    expect(shown).toContain(top);
    for (let steps = 0; log.hasEarlier; steps += 1) {
      expect(steps).toBeLessThan(40);
      await log.loadEarlier();
    }
    expect(screen.text.startsWith("line 0\nline 1\n")).toBe(true);
    expect(screen.text.length).toBeLessThan(600_000);
  });

  test("is read after what is shown, up to its end, which is followed", async () => {
    const { procman, screen, log } = open(lines(0, 200_000));
    await log.goToStart();
    expect(screen.revealed).toBe(0);
    procman.status = "running";
    for (let steps = 0; log.mode.peek() === "window" && steps < 40; steps += 1) {
      const loaded = log.loadLater();
      await Promise.race([
        loaded,
        eventually("the log's end", () => log.mode.value === "following"),
      ]);
    }
    expect(screen.text).toBe(lines(0, 200_000));
    procman.logs.stdout = Buffer.concat([procman.logs.stdout, Buffer.from("more\n")]);
    await eventually("what came", () => screen.text.endsWith("more\n"));
    expect(screen.live).toContain("more\n");
    log.close();
  });

  test("is shown around a line, in either stream", async () => {
    const text = lines(0, 200_000);
    const { screen, log } = open(text, text);
    await log.follow();
    for (const stream of ["stdout", "stderr"] as const) {
      await log.goToLine(stream, text.indexOf("line 77777\n"));
      expect(screen.line(screen.revealed ?? -1)).toBe("line 77777");
    }
    await log.choose("stderr");
    await log.goToShare(0.5);
    expect(screen.line(screen.revealed ?? -1)).toMatch(/^line 10\d{4}$|\d+$/);
  });

  test("that grows faster than it is shown is shown at its end", async () => {
    const { procman, screen, log } = open("start\n");
    procman.status = "running";
    void log.follow();
    await eventually("the start", () => screen.text === "start\n");
    const grown = { ...procman.job(), stdoutBytes: 20_000_000 } as Job;
    procman.logs.stdout = Buffer.from(`start\n${"x".repeat(79)}\n`.repeat(250_000));
    log.hear(grown);
    await eventually("a note of what was skipped", () => screen.notes.length === 1);
    expect(screen.notes[0]).toContain("bytes skipped");
    log.close();
  });

  test("goes on where it was when the page is seen again", async () => {
    const { procman, screen, log } = open("one\n");
    procman.status = "running";
    void log.follow();
    await eventually("the first line", () => screen.text === "one\n");
    log.pause();
    procman.logs.stdout = Buffer.from("one\ntwo\n");
    log.resume();
    await eventually("the second line", () => screen.text === "one\ntwo\n");
    log.close();
  });

  test("tells of its lines when they were written, in that order, where that is wanted", async () => {
    const { procman, screen, log } = open("a\nb\nc\nd\n", "oops\nouch\n");
    Object.assign(procman.seconds, { stdout: [1, 1, 5, 9], stderr: [3, 20] });
    await log.follow();
    expect(screen.timed).toEqual(["- a\nb\nc\nd\n", "- oops\nouch\n"]);
    await log.showTimes(true);
    expect(screen.timed).toEqual(["1 a\nb\n", "3 oops\n", "5 c\n", "9 d\n", "20 ouch\n"]);
    const { reads } = procman;
    await log.showTimes(false);
    expect(procman.reads).toBe(reads);
  });

  test("that was written at one time is not asked for each of its lines", async () => {
    const { procman, screen, log } = open("a\nb\n");
    Object.assign(procman.seconds, { stdout: [4, 5] });
    await log.showTimes(true);
    expect(screen.timed).toEqual(["5 a\nb\n"]);
    expect(procman.watches).toBe(0);
  });

  test("of many lines is asked for each time that somebody looked", async () => {
    const { procman, screen, log } = open(lines(0, 10_000));
    const seconds = Array.from({ length: 10_000 }, (_, index) => Math.floor(index / 2500) * 10);
    Object.assign(procman.seconds, { stdout: seconds });
    await log.showTimes(true);
    expect(procman.watches).toBe(0);
    const firstOf = new Map<string, string>();
    for (const piece of screen.timed) {
      const [time = "", text = ""] = piece.split(/ (.*)/s);
      if (!firstOf.has(time)) firstOf.set(time, text.slice(0, text.indexOf("\n")));
    }
    expect([...firstOf]).toEqual([
      ["0", "line 0"],
      ["10", "line 2500"],
      ["20", "line 5000"],
      ["30", "line 7500"],
    ]);
    expect(screen.text).toBe(lines(0, 10_000));
  });

  test("of many lines and many times has them less exactly at last", async () => {
    const { procman, screen, log } = open(lines(0, 5000));
    const seconds = Array.from({ length: 5000 }, (_, index) => index * 10);
    Object.assign(procman.seconds, { stdout: seconds });
    await log.showTimes(true);
    expect(screen.timed.at(0)).toBe("0 line 0\n");
    expect(screen.timed.at(-1)).toMatch(/^49990 /);
    expect(procman.reads).toBeLessThan(200);
    expect(screen.text).toBe(lines(0, 5000));
  });

  test("is shown also where it is gone from the server before its times are asked for", async () => {
    const { procman, screen, log } = open("a\nb\n");
    Object.assign(procman.seconds, { stdout: [1, 50] });
    vi.spyOn(procman, "watch").mockImplementation(async function* () {});
    await log.showTimes(true);
    expect(screen.timed).toEqual(["50 a\nb\n"]);
  });

  test("is shown at the same rows, with times", async () => {
    const { screen, log } = open(lines(0, 2000));
    await log.follow();
    screen.isAtEnd = false;
    screen.top = { offset: lines(0, 1000).length, rowsAbove: 7 };
    await log.showTimes(true);
    expect(screen.line(screen.revealed ?? -1)).toBe("line 1007");
    expect(log.placeRow.value).toBeUndefined();
  });

  test("is shown from a time on, in the stream that was written to first", async () => {
    const { procman, screen, log } = open(lines(0, 100), "oops\nouch\n");
    Object.assign(procman.seconds, {
      stdout: Array.from({ length: 100 }, (_, index) => index),
      stderr: [10, 42.5],
    });
    await log.follow();
    expect(await log.goToTime(atSecond(42.1))).toBe(true);
    expect(screen.line(screen.revealed ?? -1)).toBe("ouch");
    expect(log.placeRow.value).toBe(screen.revealed);
    expect(log.hasTimes.value).toBe(true);
    expect(await log.goToTime(atSecond(-100))).toBe(true);
    expect(screen.line(screen.revealed ?? -1)).toBe("line 0");
    const { text } = screen;
    expect(await log.goToTime(atSecond(100))).toBe(false);
    expect(screen.text).toBe(text);
  });

  test("says what it cannot be read for, and is read again", async () => {
    const { procman, screen, log } = open("one\n");
    procman.failure = new Error("no such luck");
    await log.follow();
    expect(log.error.value?.message).toBe("no such luck");
    await log.follow();
    expect(log.error.value).toBeUndefined();
    expect(screen.text).toBe("one\n");
  });
});

test("bytes are shared out", () => {
  expect(fairShares([100, 100], 50)).toEqual([25, 25]);
  expect(fairShares([10, 100], 50)).toEqual([10, 40]);
  expect(fairShares([100, 10], 50)).toEqual([40, 10]);
  expect(fairShares([5, 6], 50)).toEqual([5, 6]);
  expect(fairShares([100], 50)).toEqual([50]);
});
