import { execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Log } from "../../../src/contract/log.js";
import type { JobDir } from "../../../src/core/job-dir.js";
import { CHUNK_BYTES, LogFile } from "../../../src/logs/reading/log-file.js";
import type { FileJobLogs, FileLogsOptions } from "../../../src/logs/file-logs.js";
import { punchHole } from "../../../src/logs/retention/punch-hole.js";
import { readCached } from "../../../src/logs/reading/read-cached.js";
import { firstOffsetFiles, newFirstOffsetsFile } from "../../../src/storage/first-offset-files.js";
import { eventually } from "../../helpers/eventually.js";
import { checkNumbered, linesIn, numberedBytes, writeLines } from "../../helpers/numbered-lines.js";
import { eventLoopTurn } from "./event-loop-turn.js";
import { CountedWatches } from "./held-resources.js";
import { JobLogs } from "./job-logs.js";
import { NO_POLLING, newOutput } from "./new-output.js";

const LIMIT = 128 * 1024;
/** By how much a log may grow beyond its limit before it is cut. */
const SLACK = 1024 * 1024;
const BOTH = { stdout: 0, stderr: 0 };
const canPunch = process.platform === "linux";

/** What was logged, by level. */
class Logged implements Log {
  readonly lines: string[] = [];
  info = (_: object, message: string) => void this.lines.push(`info ${message}`);
  warn = (_: object, message: string) => void this.lines.push(`warn ${message}`);
  error = (_: object, message: string) => void this.lines.push(`error ${message}`);
}

/** Logs with a limit, of a job that runs until `ended` is aborted. */
function limited(options: FileLogsOptions = {}, logs = startedWithFile()) {
  const all = newOutput({ ...NO_POLLING, firstOffsets: firstOffsetFiles, ...options });
  const ended = new AbortController();
  const output = all.open(logs.dir);
  output.retain(LIMIT, ended.signal);
  return { logs, all, output, ended, end: () => ended.abort() };
}

function startedWithFile(): JobLogs {
  const logs = JobLogs.started();
  writeFileSync(logs.dir.firstOffsets, newFirstOffsetsFile());
  return logs;
}

function firstOffset(output: FileJobLogs): Promise<number> {
  return output.sizes().then((sizes) => sizes.stdoutFirstOffset);
}

function allocated(path: string): number {
  return statSync(path).blocks * 512;
}

async function cut(output: FileJobLogs, atLeast = 1): Promise<number> {
  return eventually("the log to be cut", async () => {
    const first = await firstOffset(output);
    return first >= atLeast ? first : undefined;
  });
}

describe("a log that grows beyond its limit", () => {
  test("is cut at a line, offsets stay, and its disk space is given back", async () => {
    const { logs, output } = limited();
    const size = LIMIT + SLACK + 100_000;
    logs.append("stdout", numberedBytes(0, size));
    const first = await cut(output);
    expect(first).toBe(Math.floor((size - LIMIT) / 16) * 16);
    expect(await output.sizes()).toEqual({
      stdoutBytes: size,
      stderrBytes: 0,
      stdoutFirstOffset: first,
      stderrFirstOffset: 0,
    });
    expect(await firstOffsetFiles.read(logs.dir)).toEqual({ stdout: first, stderr: 0 });
    expect(statSync(logs.path("stdout")).size).toBe(size);
    if (canPunch) {
      await eventually("the hole", () => allocated(logs.path("stdout")) < LIMIT + 8192);
    }
    const kept = logs.read("stdout").subarray(first);
    checkNumbered(first, kept);
    // Again and again.
    logs.append("stdout", numberedBytes(size, 2 * SLACK));
    const next = await cut(output, first + 1);
    expect(next).toBe(Math.floor((size + 2 * SLACK - LIMIT) / 16) * 16);
  });

  test("is left alone within the slack, and cut to the limit when the job has ended", async () => {
    const watches = new CountedWatches();
    const { logs, output, end } = limited({ watch: watches.watch });
    await eventually("both logs to be watched", () => watches.open === 2);
    logs.append("stdout", numberedBytes(0, LIMIT + SLACK));
    logs.append("stderr", numberedBytes(0, LIMIT));
    // It has been looked at, and found to grow no more.
    await eventually(
      "both to be watched again",
      () => watches.made.length >= 4 && watches.open === 2,
    );
    expect(await firstOffset(output)).toBe(0);
    end();
    expect(await cut(output)).toBe(SLACK);
    expect(await output.sizes()).toMatchObject({ stderrFirstOffset: 0 });
  });

  test("without any line is cut within it, at a character", async () => {
    const { logs, output } = limited();
    logs.append("stdout", "é".repeat(LIMIT + SLACK));
    const first = await cut(output);
    expect(first % 2).toBe(0);
    expect(2 * (LIMIT + SLACK) - first).toBeLessThan(LIMIT + CHUNK_BYTES + 8);
    expect(2 * (LIMIT + SLACK) - first).toBeGreaterThanOrEqual(LIMIT);
  });

  test("is cut in the same way when the job had ended before", async () => {
    const logs = startedWithFile();
    logs.append("stdout", numberedBytes(0, 3 * LIMIT));
    const output = newOutput({ ...NO_POLLING, firstOffsets: firstOffsetFiles }).open(logs.dir);
    output.retain(LIMIT, AbortSignal.abort());
    expect(await cut(output)).toBe(2 * LIMIT);
  });

  test("is noticed by a watch after it was silent, and not watched while it grows", async () => {
    const watches = new CountedWatches();
    const { logs, output, end } = limited({ watch: watches.watch });
    for (const round of [1, 2, 3]) {
      await eventually("both logs to be watched", () => watches.open === 2);
      logs.append("stdout", numberedBytes((round - 1) * 2 * SLACK, 2 * SLACK));
      await cut(output, round * 2 * SLACK - LIMIT);
    }
    end();
    await eventually("the watches to be closed", () => watches.open === 0);
  });

  test("is noticed by polling where nothing can be watched", async () => {
    const { logs, output } = limited({ pollIntervalMs: 20, watch: () => undefined });
    logs.append("stdout", numberedBytes(0, 2 * SLACK));
    await cut(output);
  });

  test("is kept so also when a job that has ended left somebody behind who writes", async () => {
    const { logs, output, end } = limited({ pollIntervalMs: 5 });
    end();
    logs.append("stdout", numberedBytes(0, 2 * SLACK));
    const first = await cut(output);
    logs.append("stdout", numberedBytes(2 * SLACK, 2 * SLACK));
    await cut(output, first + 1);
  });
});

describe("who reads a log with a limit", () => {
  async function cutLog() {
    const all = limited();
    const size = LIMIT + SLACK + 16;
    all.logs.append("stdout", numberedBytes(0, size));
    return { ...all, size, first: await cut(all.output) };
  }

  test("begins where it begins, whatever is asked for", async () => {
    const { output, first, size, end } = await cutLog();
    expect(await output.resolveStart({})).toEqual({ stdout: first, stderr: 0 });
    const later = { stdoutOffset: first + 3 };
    expect(await output.resolveStart(later)).toMatchObject({ stdout: first + 3 });
    await expect(output.resolveStart({ stdoutOffset: size + 1 })).rejects.toMatchObject({
      reason: "OFFSET_OUT_OF_RANGE",
    });
    const tail = await output.resolveStart({ tailLines: 3 });
    expect(tail).toMatchObject({ stdout: size - 3 * 16 });
    const more = await output.resolveStart({ tailLines: 1_000_000 });
    expect(more).toMatchObject({ stdout: first });
    end();
    for (const options of [{}, { ended: AbortSignal.abort() }]) {
      const [chunk] = await all(output.chunks(BOTH, options));
      expect(chunk?.offset).toBe(first);
    }
    const lines = await all(output.lines(BOTH));
    expect(lines[0]).toMatchObject({ offset: first, terminator: "lf" });
    expect(lines.at(-1)).toMatchObject({ nextOffset: size });
  });

  test("is told of the progress that is left", async () => {
    const { logs, output, end } = limited();
    logs.append("stdout", `10%\n${"x".repeat(2 * SLACK)}\n20%\n`);
    await cut(output);
    expect(await output.progress()).toMatchObject({ percent: 20 });
    end();
  });

  test("and is slow goes on after what was taken meanwhile, with whole lines", async () => {
    const { logs, output, ended, end } = limited();
    logs.append("stdout", numberedBytes(0, 1600));
    const lines = output.lines(BOTH, { ended: ended.signal });
    const chunks = output.chunks(BOTH, { ended: ended.signal });
    expect((await lines.next()).value).toMatchObject({ offset: 0 });
    expect((await chunks.next()).value).toMatchObject({ offset: 0 });
    logs.append("stdout", "half");
    logs.append("stdout", `\n${"x".repeat(SLACK + LIMIT)}\nthe end`);
    const first = await cut(output);
    end();
    const rest = await all(lines);
    // 99 of the first 100 lines, then what is left.
    expect(rest[98]).toMatchObject({ offset: 99 * 16, nextOffset: 1600, terminator: "lf" });
    expect(rest[99]?.offset).toBe(first);
    expect(rest.at(-1)).toMatchObject({ text: "the end" });
    const [next] = await all(chunks);
    expect(next?.offset).toBe(first);
  });

  test.runIf(canPunch)("while it is cut gets nothing that was not written", async () => {
    const { logs, output, ended, end } = limited({ pollIntervalMs: 1000 });
    const bytes = 40_000_000;
    const writer = command(logs, writeLines(1, linesIn(bytes)));
    const followers = [0, 1, 20].map(async (turns) => {
      let next = 0;
      let gaps = 0;
      for await (const chunk of output.chunks(BOTH, { ended: ended.signal })) {
        expect(chunk.offset).toBeGreaterThanOrEqual(next);
        if (chunk.offset > next) gaps += 1;
        checkNumbered(chunk.offset, chunk.data);
        next = chunk.offset + chunk.data.length;
        for (let turn = 0; turn < turns; turn += 1) await eventLoopTurn();
      }
      expect(next).toBe(bytes);
      return gaps;
    });
    const snapshots = (async () => {
      let count = 0;
      while (!ended.signal.aborted) {
        for await (const chunk of output.chunks(BOTH)) {
          checkNumbered(chunk.offset, chunk.data);
          count += 1;
        }
        await eventLoopTurn();
      }
      return count;
    })();
    await writer;
    end();
    expect(Math.max(...(await Promise.all(followers)))).toBeGreaterThan(0);
    expect(await snapshots).toBeGreaterThan(0);
  });

  test.runIf(canPunch)("reads no hole that is made within the very read", async () => {
    const logs = JobLogs.started();
    const start = { firstOffset: 0 };
    const file = new LogFile(logs.path("stdout"), start);
    onTestFinished(() => file.close());
    logs.append("stdout", numberedBytes(0, CHUNK_BYTES));
    await file.open();
    const fd = openSync(logs.path("stdout"), "r");
    onTestFinished(() => closeSync(fd));
    for (const first of [4096, 20_000, CHUNK_BYTES - 1, CHUNK_BYTES]) {
      // What can be read at once is, and nothing comes between.
      while (readCached(fd, Buffer.alloc(1024), 0));
      const reading = file.readKept(0, CHUNK_BYTES);
      start.firstOffset = first;
      punchNow(logs.path("stdout"), first);
      const { offset, data } = await reading;
      expect([offset, data.length]).toEqual([first, CHUNK_BYTES - first]);
      checkNumbered(offset, data);
    }
  });
});

describe("a limit after a restart", () => {
  test("goes on where it was", async () => {
    const before = limited();
    before.logs.append("stdout", numberedBytes(0, LIMIT + SLACK + 1));
    const first = await cut(before.output);
    await before.all.close();
    const { logs, output } = limited({}, before.logs);
    expect(await firstOffset(output)).toBe(first);
    logs.append("stdout", numberedBytes(LIMIT + SLACK + 1, SLACK));
    await cut(output, first + 1);
  });

  test.runIf(canPunch)("makes the hole that a crash has prevented", async () => {
    for (const ended of [AbortSignal.abort(), new AbortController().signal]) {
      const logs = startedWithFile();
      logs.append("stdout", numberedBytes(0, 4 * LIMIT));
      await firstOffsetFiles.write(logs.dir, { stdout: 3 * LIMIT, stderr: 0 });
      const output = newOutput({ ...NO_POLLING, firstOffsets: firstOffsetFiles }).open(logs.dir);
      output.retain(LIMIT, ended);
      await eventually("the hole", () => allocated(logs.path("stdout")) < LIMIT + 8192);
      expect(await firstOffset(output)).toBe(3 * LIMIT);
      checkNumbered(3 * LIMIT, logs.read("stdout").subarray(3 * LIMIT));
    }
  });

  test("of which the offsets were lost gives up what may be a hole", async () => {
    const logs = startedWithFile();
    logs.append("stdout", numberedBytes(0, 4 * LIMIT));
    logs.append("stderr", "all of it");
    rmSync(logs.dir.firstOffsets);
    const { output } = limited({}, logs);
    expect(await output.sizes()).toMatchObject({
      stdoutFirstOffset: 3 * LIMIT,
      stderrFirstOffset: 0,
    });
  });

  test("where the log is shorter than it was begins at its end", async () => {
    const logs = startedWithFile();
    logs.append("stdout", numberedBytes(0, LIMIT));
    await firstOffsetFiles.write(logs.dir, { stdout: 2 * LIMIT, stderr: 0 });
    const { output } = limited({}, logs);
    expect(await firstOffset(output)).toBe(LIMIT);
    expect(await all(output.chunks(BOTH))).toEqual([]);
  });
});

describe("what cannot be done", () => {
  test("holes: the first offset moves all the same, and that is said once", async () => {
    const log = new Logged();
    let asked = 0;
    const punch = async () => {
      asked += 1;
      return false;
    };
    const { logs, all, output } = limited({ log, punch });
    const other = startedWithFile();
    const others = all.open(other.dir);
    others.retain(LIMIT, new AbortController().signal);
    for (const { dir } of [logs, other]) {
      writeFileSync(dir.log("stdout"), numberedBytes(0, 2 * SLACK));
    }
    expect(await cut(output)).toBe(await cut(others));
    await eventually("the log", () => log.lines.length === 1);
    logs.append("stdout", numberedBytes(2 * SLACK, 2 * SLACK));
    await cut(output, 2 * SLACK);
    await all.close();
    expect(log.lines).toEqual([
      "warn logs have their limits, but the disk space of what is given up cannot be given back here",
    ]);
    expect(asked).toBe(1);
    expect(logs.read("stdout").equals(numberedBytes(0, 4 * SLACK))).toBe(true);
  });

  test("writing down where it begins: nothing is given up, until it can be", async () => {
    const log = new Logged();
    const disk = { full: true, attempts: 0 };
    const firstOffsets = {
      ...firstOffsetFiles,
      write: async (dir: JobDir, offsets: { stdout: number; stderr: number }) => {
        disk.attempts += 1;
        if (disk.full) throw new Error("no room");
        await firstOffsetFiles.write(dir, offsets);
      },
    };
    let holes = 0;
    const punch = async (path: string, length: number) => {
      holes += 1;
      return punchHole(path, length);
    };
    const { logs, output } = limited({ log, firstOffsets, punch, pollIntervalMs: 5 });
    logs.append("stdout", numberedBytes(0, 2 * SLACK));
    await eventually("the third attempt", () => disk.attempts >= 3);
    expect(await firstOffset(output)).toBe(0);
    expect(holes).toBe(0);
    disk.full = false;
    await cut(output);
    expect(log.lines).toEqual(["error a job's logs cannot be kept within their limit now"]);
  });

  test("a hole that could not be made is made later", async () => {
    const log = new Logged();
    const lengths: number[] = [];
    const punch = async (_path: string, length: number) => {
      lengths.push(length);
      if (lengths.length < 3) throw new Error("out of processes");
      return true;
    };
    const { logs, output } = limited({ log, punch, pollIntervalMs: 5 });
    logs.append("stdout", numberedBytes(0, 2 * SLACK));
    const first = await cut(output);
    await eventually("the third attempt", () => lengths.length === 3);
    expect(lengths).toEqual([first, first, first]);
    expect(log.lines).toHaveLength(1);
  });

  test("a job that is gone is no error, and nothing of it is held", async () => {
    const log = new Logged();
    const watches = new CountedWatches();
    const { logs, all, output } = limited({ log, watch: watches.watch });
    await eventually("both logs to be watched", () => watches.open === 2);
    logs.append("stdout", numberedBytes(0, 2 * SLACK));
    rmSync(logs.dir.path, { recursive: true });
    output.dispose();
    expect(watches.open).toBe(0);
    await all.close();
    expect(log.lines).toEqual([]);
  });
});

test("the platform says whether it can make holes", async () => {
  const logs = JobLogs.started();
  logs.append("stdout", numberedBytes(0, 100_000));
  expect(await punchHole(logs.path("stdout"), 50_000)).toBe(canPunch);
  if (!canPunch) return;
  expect(allocated(logs.path("stdout"))).toBeLessThan(60_000);
  expect(statSync(logs.path("stdout")).size).toBe(100_000);
  expect(
    logs
      .read("stdout")
      .subarray(0, 50_000)
      .every((byte) => byte === 0),
  ).toBe(true);
  checkNumbered(50_000, logs.read("stdout").subarray(50_000));
  await expect(punchHole(join(logs.dir.path, "none"), 10)).rejects.toThrow("none");
  await expect(punchHole("/dev/null", 10)).rejects.toThrow("/dev/null: ENODEV");
});

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

function punchNow(path: string, length: number): void {
  const range = ["--offset", "0", "--length", String(length)];
  execFileSync("fallocate", ["--punch-hole", "--keep-size", ...range, path]);
}

/** Runs a shell command with its output in the job's log, to its end. */
async function command(logs: JobLogs, script: string): Promise<void> {
  const out = openSync(logs.path("stdout"), "a");
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", out, "ignore"] });
  closeSync(out);
  onTestFinished(() => void child.kill("SIGKILL"));
  await new Promise((resolve) => child.once("exit", resolve));
}
