import { describe, expect, test } from "vitest";
import { formatLiveTable } from "../../../src/cli/format/job-table.js";
import { LiveJobs } from "../../../src/cli/terminal/live-jobs.js";
import { RedrawThrottle } from "../../../src/cli/terminal/screen.js";
import type { JobsEvent } from "../../../src/contract/procman.js";
import type { Job } from "../../../src/contract/job.js";
import { eventually } from "../../helpers/eventually.js";
import { endedJob, orphanedJob, runningJob } from "../client/some-job.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

const progress = (percent: number, rest = {}) => ({ percent, unit: "", text: "", ...rest });

const snapshot = (...jobs: Job[]): JobsEvent => ({ type: "snapshot", jobs, revision: "r" });
const changed = (job: Job): JobsEvent => ({ type: "changed", job, revision: "r" });
const removed = (id: string): JobsEvent => ({ type: "removed", id, revision: "r" });

/** The command line, over a server that tells these events; then Ctrl-C. */
async function lsWatch(
  events: readonly JobsEvent[],
  words: readonly string[] = [],
  options: FakeCliOptions = {},
) {
  const cli = new FakeCli(options);
  cli.procman.watchJobs = async function* () {
    yield* events;
    cli.interrupt.abort();
    throw cli.interrupt.signal.reason;
  };
  const code = await cli.run("ls", "--watch", ...words);
  return { code, lines: cli.out.text.split("\n").slice(0, -1), error: cli.err.text };
}

describe("elsewhere than on a terminal", () => {
  test("each job is a line, and another one when it says something new", async () => {
    const a = { id: "a", args: ["1"] };
    const { code, lines, error } = await lsWatch([
      snapshot(runningJob({ id: "b" }), runningJob(a)),
      changed(runningJob({ ...a, stdoutBytes: 5 })),
      changed(runningJob({ ...a, progress: progress(41.2) })),
      changed(runningJob({ ...a, progress: progress(41.9) })),
      changed(endedJob({ ...a, status: "failed", exitCode: 137, signal: "SIGKILL" })),
      removed("a"),
      removed("never shown"),
      // Everything anew: only what differs is said.
      snapshot(runningJob({ id: "c" })),
    ]);
    expect(lines).toEqual([
      "a  running             sleep 1",
      "b  running             sleep 1",
      "a  running 41%         sleep 1",
      "a  failed        137 SIGKILL  sleep 1",
      "a  removed",
      "b  removed",
      "c  running             sleep 1",
    ]);
    expect({ code, error }).toEqual({ code: 130, error: "" });
  });

  test("with --json each event is a line, also on a terminal", async () => {
    const events = [snapshot(runningJob()), changed(endedJob()), removed("job1")];
    for (const terminal of [false, true]) {
      const { lines } = await lsWatch(events, ["--json"], { terminal });
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([
        { snapshot: { jobs: [{ id: "job1", status: "running" }], revision: "r" } },
        { changed: { job: { id: "job1", status: "completed" }, revision: "r" } },
        { removed: { id: "job1", revision: "r" } },
      ]);
    }
  });
});

test("asks for the jobs that are wanted", async () => {
  const cli = new FakeCli();
  cli.interrupt.abort();
  await cli.run("ls", "-w", "--status", "running,failed", "--label", "a=b");
  expect(cli.procman.lastCall("watchJobs")).toMatchObject([
    { statuses: ["running", "failed"], labels: { a: "b" } },
  ]);
});

test("a server that is lost is an error", async () => {
  const cli = new FakeCli();
  cli.procman.failure = new Error("cannot reach it");
  expect(await cli.run("ls", "--watch")).toBe(1);
  expect(cli.err.text).toBe("procman: cannot reach it\n");
});

describe("the table", () => {
  const now = new Date("2026-01-02T04:04:06.789Z");
  const table = (jobs: readonly Job[], width: number, height = 24) =>
    formatLiveTable(jobs, { paint: (_style, text) => text, width, height }, now);

  test("has a bar and what fits beside it; how a job failed; the command", () => {
    const eta = { current: 3, total: 4, unit: "files", etaMs: 62_000 };
    const jobs = [
      runningJob({ id: "a", progress: progress(75, eta) }),
      runningJob({ id: "b", progress: { current: 7, unit: "it", text: "7it" } }),
      runningJob({ id: "c", stdoutBytes: 2048 }),
      endedJob({ id: "d", progress: progress(100) }),
      endedJob({ id: "e", status: "failed", exitCode: 3 }),
      orphanedJob({ id: "f" }),
    ];
    expect(table(jobs, 120)).toEqual([
      "3 running, 3 ended. Ctrl-C leaves.",
      "ID  STATUS        TIME   OUTPUT  PROGRESS                                    COMMAND",
      "a   running         1h      0 B  [########--]  75%  3 of 4 files  eta 1m 2s  sleep 1",
      "b   running         1h      0 B  7 it                                        sleep 1",
      "c   running         1h  2.05 kB                                              sleep 1",
      "d   completed  55m 53s      0 B                                              sleep 1",
      "e   failed     55m 53s      0 B  exit 3                                      sleep 1",
      "f   orphaned                0 B                                              sleep 1",
    ]);
    expect(table(jobs, 70)[2]).toBe("a   running         1h      0 B  [########--]  75%  sleep 1");
  });

  test("has the percentage in the status where there is no room for bars", () => {
    const jobs = [runningJob({ id: "abcdefghijkl", progress: progress(42) })];
    expect(table(jobs, 40)).toEqual([
      "1 running, 0 ended. Ctrl-C leaves.",
      "ID            STATUS       TIME  COMMAND",
      "abcdefghijkl  running 42%    1h  sleep 1",
    ]);
  });

  test("keeps within the terminal", () => {
    const jobs = Array.from({ length: 30 }, (_, n) =>
      runningJob({ id: `job${n}`, args: ["x".repeat(200)], progress: progress(n) }),
    );
    for (const [width, height] of [
      [80, 24],
      [100, 5],
      [70, 40],
    ] as const) {
      const lines = table(jobs, width, height);
      expect(lines).toHaveLength(Math.min(height, 32));
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
    }
    expect(table(jobs, 80, 24).at(-1)).toBe("… and 9 more");
    expect(table(jobs.slice(0, 22), 80, 24).at(-1)).toContain("job21");
  });

  test("shows nothing of a job's own that a terminal would obey", () => {
    const evil = "\u001b[2J\u202e";
    const job = runningJob({
      args: [evil],
      progress: { current: 1, unit: evil, text: evil },
    });
    const text = table([job], 200).join("\n");
    expect(text).toContain("\\u{1b}[2J");
    for (const char of evil.slice(0, 1) + evil.slice(-1)) expect(text).not.toContain(char);
  });
});

test("jobs are kept as the events tell, those that have not ended first", () => {
  const jobs = new LiveJobs({ statuses: ["running", "failed"] });
  const at = (id: string, minute: number) => ({
    id,
    createdTime: new Date(Date.UTC(2026, 0, 2, 3, minute)),
  });
  const ids = () => jobs.all.map(({ id }) => id);
  const failed = { status: "failed", exitCode: 1 } as const;
  jobs.apply(snapshot(endedJob({ ...at("d", 4), ...failed }), runningJob(at("a", 1))));
  jobs.apply(changed(runningJob(at("b", 2))));
  jobs.apply(changed(endedJob({ ...at("c", 3), ...failed })));
  expect(ids()).toEqual(["b", "a", "d", "c"]);
  jobs.apply(changed(endedJob(at("b", 2))));
  jobs.apply(removed("d"));
  jobs.apply({ type: "resumed", revision: "r" });
  expect(ids()).toEqual(["a", "c"]);
  jobs.apply(snapshot(runningJob(at("e", 5))));
  expect(ids()).toEqual(["e"]);
});

describe("redraws", () => {
  test("are few however often they are asked for, and the last state is drawn", async () => {
    let state = 0;
    const drawn: number[] = [];
    const redraws = new RedrawThrottle(
      async () => void drawn.push(state),
      () => {},
    );
    for (; state < 1000; state += 1) {
      redraws.request();
      if (state % 100 === 0) await new Promise(setImmediate);
    }
    redraws.request();
    await eventually("the last one", () => drawn.at(-1) === 1000);
    redraws.stop();
    expect(drawn.length).toBeLessThan(10);
  });

  test("wait for a terminal that is slow, and stop when they are told to", async () => {
    let drawn = 0;
    let finish = () => {};
    const draw = () => {
      drawn += 1;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    const redraws = new RedrawThrottle(draw, () => {});
    redraws.request();
    await eventually("the first", () => drawn === 1);
    redraws.request();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(drawn).toBe(1);
    finish();
    await eventually("the second", () => drawn === 2);
    redraws.stop();
    redraws.request();
    finish();
    redraws.restart();
    await eventually("the third", () => drawn === 3);
    redraws.stop();
  });

  test("tell of an error", async () => {
    const errors: unknown[] = [];
    const closed = new Error("closed");
    const redraws = new RedrawThrottle(
      () => Promise.reject(closed),
      (error) => errors.push(error),
    );
    redraws.request();
    await eventually("the error", () => errors.length === 1);
    expect(errors).toEqual([closed]);
    redraws.stop();
  });
});
