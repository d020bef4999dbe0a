import { expect, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import { type Job, NO_OUTPUT } from "../../../src/contract/job.js";
import type { JobsOutputPattern, OutputLine } from "../../../src/contract/procman.js";
import { JobsSearch } from "../../../src/core/jobs-search.js";
import type { ManagedJob } from "../../../src/core/managed-job.js";
import type { JobLogs, LogLine, LogSearched, OutputPositions } from "../../../src/core/ports.js";
import { eventually } from "../../helpers/eventually.js";
import { endedJob, runningJob } from "../client/some-job.js";

const END: LogSearched = { isSearched: true, isEnd: true, stdoutOffset: 9, stderrOffset: 0 };

function line(text: string, nextOffset: number): OutputLine {
  return { stream: "stdout", text, offset: 0, nextOffset, terminator: "lf" };
}

/** Searches jobs of which each reading gives the next of these. */
function searching(
  readings: readonly (readonly (LogLine | LogSearched | Error)[])[],
  output: Partial<JobsOutputPattern> = {},
  { mergeOutput = false, isGone = false } = {},
) {
  const asked: OutputPositions[] = [];
  const logs: Partial<JobLogs> = {
    async *matchingLines(from) {
      const items = readings[asked.length] ?? [];
      asked.push(from);
      for (const item of items) {
        if (item instanceof Error) throw item;
        yield item;
      }
    },
    sizes: async () => ({ ...NO_OUTPUT, stdoutBytes: 5, stdoutFirstOffset: 3 }),
    lineStarts: async ({ stdout = 0 }) => ({ stdout: stdout - 1, stderr: 0 }),
  };
  const job = { logs, ended: AbortSignal.abort(), record: { spec: { mergeOutput } } };
  const stop = new AbortController();
  const find = () => (isGone ? undefined : (job as unknown as ManagedJob));
  const jobs = { find, retryIntervalMs: 1 };
  const search = new JobsSearch(jobs, { pattern: "x", ...output }, stop.signal);
  /** Takes so many, and shows them. */
  const take = async (count: number) => {
    const found: string[] = [];
    await eventually("what is found", () => {
      for (let next = search.take(); next; next = search.take()) {
        if (next.type === "line") found.push(`${next.id} ${next.line.text}`);
        else found.push(`${next.id} ${next.stdoutOffset}${next.complete ? " complete" : ""}`);
      }
      return found.length >= count;
    });
    return found;
  };
  return { search, stop, asked, take };
}

const later = (more: Partial<Job> = {}) => runningJob({ id: "a", ...more });

test("a reading that fails is begun again where it was, and what is found comes once", async () => {
  const failure = new Error("too many open files");
  const { search, asked, take } = searching([
    [failure],
    [line("x1", 3), failure],
    [{ ...END, isEnd: false, stdoutOffset: 6 }, failure],
    [line("x2", 9), END],
  ]);
  search.add(later());
  search.add(later());
  expect(await take(4)).toEqual(["a x1", "a 6", "a x2", "a 9 complete"]);
  expect(asked.map(({ stdout }) => stdout)).toEqual([0, 0, 3, 6]);
});

test("a place that a truncation has made wrong is given up for where the log begins", async () => {
  const outOfRange = new ProcmanError("OFFSET_OUT_OF_RANGE", "beyond");
  const positions = [{ id: "a", stdoutOffset: 100, stderrOffset: 0 }];
  const { search, asked, take } = searching([[outOfRange], [END]], { positions });
  search.resume();
  expect(await take(1)).toEqual(["a 9 complete"]);
  expect(asked).toEqual([
    { stdout: 100, stderr: 0 },
    { stdout: 3, stderr: 0 },
  ]);
});

test("a job in the first snapshot is searched from its last line; one that has ended is not", async () => {
  const { search, asked, take } = searching([[END], [END]]);
  search.takeSnapshot([later({ stdoutBytes: 7 }), endedJob({ id: "b" })]);
  expect(await take(2)).toEqual(["a 6", "a 9 complete"]);
  expect(asked).toEqual([{ stdout: 6, stderr: 0 }]);
  // One that a later snapshot has is new.
  search.takeSnapshot([endedJob({ id: "b" }), endedJob({ id: "c" })]);
  expect(await take(1)).toEqual(["c 9 complete"]);
  expect(asked[1]).toEqual({ stdout: 0, stderr: 0 });
});

test("one who comes back says which jobs are new by when they were created", async () => {
  const at = (second: number) => new Date(`2026-01-01T00:00:0${second}Z`);
  const positions = [{ id: "known", stdoutOffset: 2, stderrOffset: 0 }];
  const { search, asked, take } = searching([[END], [END]], {
    positions,
    newestCreatedTime: at(5),
    streams: ["stdout"],
  });
  search.takeSnapshot([
    endedJob({ id: "new", createdTime: at(5) }),
    endedJob({ id: "known", createdTime: at(4) }),
    endedJob({ id: "old", createdTime: at(4) }),
  ]);
  expect((await take(2)).toSorted()).toEqual(["known 9 complete", "new 9 complete"]);
  expect(asked).toEqual([{ stdout: 0 }, { stdout: 2 }]);
});

test("where stderr goes to stdout, it is not looked at", async () => {
  const { search, asked, take } = searching([[END]], {}, { mergeOutput: true });
  search.add(later());
  await take(1);
  expect(asked).toEqual([{ stdout: 0 }]);
});

test("a job that was removed is let go, and so is all when it is over", async () => {
  const gone = searching([], {}, { isGone: true });
  gone.search.add(later());
  gone.search.takeSnapshot([]);
  expect(gone.search.take()).toBeUndefined();

  const { search, stop, asked, take } = searching([[line("x", 2), new Error("again"), END]]);
  search.add(later());
  await eventually("the reading", () => asked.length === 1);
  stop.abort(new Error("enough"));
  search.close();
  search.add(later({ id: "b" }));
  expect(search.take()).toBeUndefined();
  expect(asked).toHaveLength(1);
  await expect(take(0)).resolves.toEqual([]);
});

test("a bad pattern is refused, by its field", () => {
  expect(() => searching([], { pattern: "" })).toThrow(
    /^output_pattern.pattern: must not be empty/,
  );
});
