import { getEventListeners } from "node:events";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { OutputChunk } from "../../../src/contract/procman.js";
import { LinePattern } from "../../../src/core/line-pattern.js";
import type { LineSearch, OutputPositions } from "../../../src/core/ports.js";
import { findLine } from "../../../src/logs/lines/find-line.js";
import type { FileLogs } from "../../../src/logs/file-logs.js";
import { deferred } from "../../helpers/deferred.js";
import { eventually } from "../../helpers/eventually.js";
import { openFilesBelow } from "./held-resources.js";
import { JobLogs } from "./job-logs.js";
import { newOutput } from "./new-output.js";
import { outputBytes } from "./output-bytes.js";

const BOTH = { stdout: 0, stderr: 0 };

/** A job that the test plays, and a search through its output. */
class Job {
  readonly logs = JobLogs.started();
  readonly output: FileLogs = newOutput();
  readonly #ended = new AbortController();
  readonly #enough = new AbortController();
  readonly #stop = new AbortController();

  end(): void {
    this.#ended.abort();
  }

  enough(): void {
    this.#enough.abort();
  }

  stop(reason: Error): void {
    this.#stop.abort(reason);
  }

  /** Follows the output. */
  find(pattern: string, from: OutputPositions = BOTH): Promise<LineSearch> {
    return this.output.open(this.logs.dir).findLine(from, new LinePattern(pattern), {
      ended: this.#ended.signal,
      timeout: this.#enough.signal,
      signal: this.#stop.signal,
    });
  }

  /** Looks at what is there. */
  look(pattern: string, from: OutputPositions = BOTH): Promise<LineSearch> {
    return this.output.open(this.logs.dir).findLine(from, new LinePattern(pattern), {});
  }
}

/** What a search is at once about to say, or that it goes on. */
async function stateOf(search: Promise<LineSearch>): Promise<LineSearch | "goes on"> {
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return "goes on" as const;
  };
  return Promise.race([search, turns()]);
}

/** A search through these reads, after which nothing comes. */
function findIn(pattern: string, reads: readonly string[]) {
  const enough = new AbortController();
  const { promise: read, resolve: allRead } = deferred();
  async function* chunks(signal: AbortSignal): AsyncGenerator<OutputChunk> {
    let offset = 0;
    for (const text of reads) {
      const data = Buffer.from(text);
      yield { stream: "stdout", offset, data };
      offset += data.length;
    }
    allRead();
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  }
  const result = findLine(chunks, { stdout: 0 }, new LinePattern(pattern), {
    toTheEnd: true,
    timeout: enough.signal,
  });
  return { result, read, enough: () => enough.abort() };
}

describe("a line", () => {
  test("that is there is found, with where it is", async () => {
    const job = new Job();
    job.logs.append("stdout", "starting\nready in 3 ms\r\nready again\n");
    const line = {
      stream: "stdout",
      text: "ready in 3 ms",
      offset: 9,
      nextOffset: 24,
      terminator: "crlf",
    };
    expect(await job.look("ready")).toEqual({ type: "line", line });
    expect(await job.find("ready")).toEqual({ type: "line", line });
  });

  test("that comes later is found", async () => {
    const job = new Job();
    job.logs.append("stdout", "starting\n");
    const search = job.find("^ready$");
    expect(await stateOf(search)).toBe("goes on");
    job.logs.append("stderr", "ready");
    job.logs.append("stdout", "not ready\n");
    expect(await stateOf(search)).toBe("goes on");
    job.logs.append("stderr", "\n");
    expect(await search).toMatchObject({ line: { stream: "stderr", text: "ready", offset: 0 } });
  });

  test("is looked for from the offset on, in the streams that were named", async () => {
    const job = new Job();
    job.logs.append("stdout", "ready 1\nready 2\n");
    job.logs.append("stderr", "ready 3\n");
    expect(await job.look("ready", { stdout: 1 })).toMatchObject({ line: { text: "ready 2" } });
    expect(await job.look("ready", { stderr: 0 })).toMatchObject({ line: { text: "ready 3" } });
    // A line begins at the offset.
    expect(await job.look("^ady", { stdout: 2 })).toMatchObject({
      line: { text: "ady 1", offset: 2 },
    });
  });

  test("tells of its progress", async () => {
    const job = new Job();
    job.logs.append("stderr", "45%\r46%\r");
    expect(await job.look("45")).toMatchObject({
      line: { terminator: "cr", progress: { percent: 45 } },
    });
  });

  test("of more than 64 KiB comes in pieces, which count as lines", async () => {
    const job = new Job();
    job.logs.append("stdout", `${"x".repeat(64 * 1024)}ready${"y".repeat(10)}\n`);
    expect(await job.look("ready")).toMatchObject({
      line: { offset: 64 * 1024, text: "readyyyyyyyyyyy", terminator: "lf" },
    });
  });
});

describe("the last line without a terminator", () => {
  test("is found where it matches whatever follows", async () => {
    const job = new Job();
    job.logs.append("stdout", "hello\n> ");
    const prompt = {
      type: "line",
      line: { stream: "stdout", text: "> ", offset: 6, nextOffset: 8, terminator: "none" },
    };
    expect(await job.look("^> ")).toEqual(prompt);
    expect(await job.find("^> ")).toEqual(prompt);
    expect(await job.find("^> ", { stdout: 6 })).toEqual(prompt);
  });

  test("is given a moment to be completed", async () => {
    const search = findIn("ready", ["ready on ", "http://localhost", ":3000\n"]);
    expect(await search.result).toMatchObject({
      line: { text: "ready on http://localhost:3000", terminator: "lf" },
    });
  });

  test("is taken as it is after that, and when enough is enough", async () => {
    const patient = findIn("ready", ["ready on "]);
    expect(await patient.result).toMatchObject({ line: { text: "ready on " } });
    const hurried = findIn("ready", ["ready on "]);
    await hurried.read;
    hurried.enough();
    expect(await hurried.result).toMatchObject({ line: { text: "ready on " } });
  });

  test("that depends on what follows is found when it has ended, or the job", async () => {
    const job = new Job();
    job.logs.append("stdout", "ready");
    const searches = [job.find("ready$"), job.find("ready\\b")];
    expect(await job.look("ready$")).toEqual({
      type: "searched",
      stdoutOffset: 0,
      stderrOffset: 0,
    });
    for (const search of searches) expect(await stateOf(search)).toBe("goes on");
    job.logs.append("stdout", " or not");
    job.end();
    const [end, border] = await Promise.all(searches);
    expect(end).toBeUndefined();
    expect(border).toMatchObject({ line: { text: "ready or not", terminator: "none" } });
    expect(await job.find("not$")).toMatchObject({ line: { text: "ready or not" } });
    expect(await job.look("not$")).toMatchObject({ type: "searched" });
  });

  test("is not misread where a character is cut", async () => {
    const job = new Job();
    job.logs.append("stdout", Buffer.from("ready→").subarray(0, -1));
    expect(await job.look("ready[^→]")).toMatchObject({ type: "searched" });
    expect(await job.look("ready")).toMatchObject({ line: { text: "ready", nextOffset: 5 } });
  });
});

describe("nothing found", () => {
  test("tells where the first line begins that may still match", async () => {
    const job = new Job();
    job.logs.append("stdout", "one\ntwo\nthr");
    job.logs.append("stderr", "100%\r");
    const searched = { type: "searched", stdoutOffset: 8, stderrOffset: 0 };
    expect(await job.look("ready")).toEqual(searched);
    expect(await job.look("ready", { stdout: 8 })).toEqual(searched);
    expect(await job.look("ready", { stderr: 0 })).toEqual({ ...searched, stdoutOffset: 0 });
    const search = job.find("ready");
    expect(await stateOf(search)).toBe("goes on");
    job.enough();
    expect(await search).toMatchObject({ type: "searched" });
  });

  test("in an ended job's output is nothing", async () => {
    const job = new Job();
    job.logs.append("stdout", "one\ntwo");
    job.end();
    expect(await job.find("ready")).toBeUndefined();
  });

  test("fails with the signal's reason", async () => {
    const job = new Job();
    const search = job.find("ready");
    job.stop(new Error("left"));
    await expect(search).rejects.toThrow("left");
    await expect(job.find("ready")).rejects.toThrow("left");
  });

  test("leaves no file open", async () => {
    const job = new Job();
    job.logs.append("stdout", "one\nready\n");
    await job.look("ready");
    await job.find("ready");
    const search = job.find("never");
    await stateOf(search);
    job.enough();
    await search;
    if (process.platform !== "linux") return;
    await eventually("no open file", () => openFilesBelow(job.logs.dir.path).length === 0);
  });
});

test("however the search is cut into slices, the same line is found", async () => {
  await fc.assert(
    fc.asyncProperty(
      outputBytes(),
      fc.array(fc.nat(200), { maxLength: 4 }),
      fc.constantFrom("a", "a$", "^$", "é", "\\x{fffd}", "a\\b", "^[^a]*a.$"),
      async (bytes, cuts, pattern) => {
        const whole = new Job();
        whole.logs.append("stdout", bytes);
        whole.end();
        const expected = await whole.find(pattern, { stdout: 0 });

        const job = new Job();
        let from: OutputPositions = { stdout: 0 };
        let written = 0;
        let found: LineSearch;
        for (const cut of [...cuts.sort((a, b) => a - b), bytes.length]) {
          job.logs.append("stdout", bytes.subarray(written, cut));
          written = Math.max(written, Math.min(cut, bytes.length));
          found = await job.look(pattern, from);
          if (found?.type === "line") break;
          if (found) from = { stdout: found.stdoutOffset };
        }
        if (found?.type !== "line") {
          job.end();
          found = await job.find(pattern, from);
        }
        // The line may have been found before all of it was there.
        const place = (search: LineSearch) => search?.type === "line" && search.line.offset;
        expect(place(found)).toBe(place(expected));
      },
    ),
    { numRuns: 60 },
  );
});

test("others get their turn between the lines of what was read at once", {
  timeout: 60_000,
}, async () => {
  let seed = 1;
  const letter = () => ((seed = (seed * 48271) % 0x7fffffff) & 64 ? "a" : "b");
  const lines = Array.from(
    { length: 16 },
    () => `${Array.from({ length: 4090 }, letter).join("")}\n`,
  );
  let turns = 0;
  let counting = true;
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  const search = findIn("[ab]*a[ab]{480}[cd]", [lines.join("")]);
  setImmediate(count);
  await search.read;
  counting = false;
  search.enough();
  expect(await search.result).toMatchObject({ type: "searched", stdoutOffset: 16 * 4091 });
  expect(turns).toBeGreaterThan(2);
});

describe("where a log limit has taken output meanwhile", () => {
  async function* chunksWithGap(): AsyncGenerator<OutputChunk> {
    yield { stream: "stdout", offset: 0, data: Buffer.from("one\ntwo") };
    yield { stream: "stdout", offset: 100, data: Buffer.from("three\nfour\n") };
  }
  const search = (pattern: string) =>
    findLine(chunksWithGap, { stdout: 0 }, new LinePattern(pattern), { toTheEnd: true });

  test.each([
    ["one", { text: "one", offset: 0 }],
    // A line that has lost its end is as long as it was, and joined to no other.
    ["^two$", { text: "two", offset: 4, terminator: "none" }],
    ["twothree", undefined],
    ["^three$", { text: "three", offset: 100, nextOffset: 106 }],
    ["four", { text: "four", offset: 106, nextOffset: 111 }],
  ])("%s is looked for at the right offsets", async (pattern, line) => {
    const found = await search(pattern);
    if (line === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject({ type: "line", line });
  });
});

describe("what a search leaves behind", () => {
  test("is nothing at the signals, whatever ends it", async () => {
    const signals = [new AbortController(), new AbortController()] as const;
    const [signal, timeout] = signals.map((controller) => controller.signal) as [
      AbortSignal,
      AbortSignal,
    ];
    const searched = async (pattern: string) =>
      findLine(() => chunksOf("one\ntwo\n"), { stdout: 0 }, new LinePattern(pattern), {
        toTheEnd: true,
        timeout,
        signal,
      });
    expect(await searched("one")).toMatchObject({ type: "line" });
    expect(await searched("three")).toBeUndefined();
    expect([signal, timeout].map((each) => getEventListeners(each, "abort").length)).toEqual([
      0, 0,
    ]);
  });

  test("is no timer where the last line was completed in time", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await findIn("ready", ["ready", " on 3000\n"]).result).toMatchObject({
      line: { text: "ready on 3000" },
    });
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("a search that is given up stops within the output that it has read", async () => {
  const stop = new AbortController();
  let matched = 0;
  const slow = {
    matchesBeginning: () => false,
    matches: () => {
      matched += 1;
      for (const began = performance.now(); performance.now() - began < 6; );
      return false;
    },
  };
  const search = findLine(
    () => chunksOf("line\n".repeat(1000)),
    { stdout: 0 },
    slow as unknown as LinePattern,
    { toTheEnd: true, signal: stop.signal },
  );
  setImmediate(() => stop.abort(new Error("left")));
  await expect(search).rejects.toThrow("left");
  expect(matched).toBeLessThan(20);
});

test("an error of the reading is no end of the search, also once its time is over", async () => {
  async function* failing(): AsyncGenerator<OutputChunk> {
    yield* chunksOf("one\n");
    throw new Error("the disk is away");
  }
  const search = findLine(failing, { stdout: 0 }, new LinePattern("two"), {
    toTheEnd: true,
    timeout: AbortSignal.abort(),
  });
  await expect(search).rejects.toThrow("the disk is away");
});

async function* chunksOf(text: string): AsyncGenerator<OutputChunk> {
  yield { stream: "stdout", offset: 0, data: Buffer.from(text) };
}
