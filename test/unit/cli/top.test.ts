import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CpuRates } from "../../../src/cli/format/cpu-rates.js";
import { formatTopScreen, sortedForTop } from "../../../src/cli/format/top-table.js";
import type { Job } from "../../../src/contract/job.js";
import type { JobsEvent } from "../../../src/contract/procman.js";
import { eventually } from "../../helpers/eventually.js";
import { runningJob } from "../client/some-job.js";
import { FakeCli } from "./fake-cli.js";

const now = new Date("2026-01-02T04:04:06.789Z");
const after = (seconds: number) => new Date(now.getTime() + seconds * 1000);

/** A job that has used so many seconds of CPU by then, and so much memory. */
function used(id: string, cpuSeconds: number, atSeconds: number, memoryBytes = 1e6): Job {
  const usage = {
    cpuTimeMs: cpuSeconds * 1000,
    memoryBytes,
    processes: 2,
    measuredTime: after(atSeconds),
  };
  return runningJob({ id, usage });
}

describe("the CPU that a job uses", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => void vi.useRealTimers());

  test("is what was used between two measurements", () => {
    const rates = new CpuRates();
    rates.note(used("a", 5, 0));
    expect(rates.percentOf({ id: "a" })).toBeUndefined();
    rates.note(used("a", 8, 2));
    expect(rates.percentOf({ id: "a" })).toBe(150);
    // Told again.
    rates.note(used("a", 8, 2));
    expect(rates.percentOf({ id: "a" })).toBe(150);
    // As of a child that nobody had waited for, where there is no cgroup.
    rates.note(used("a", 7, 3));
    expect(rates.percentOf({ id: "a" })).toBe(0);
  });

  test("is none where no more is told, and not known where it was never told", () => {
    const rates = new CpuRates();
    rates.note(used("a", 5, 0));
    rates.note(used("a", 6, 1));
    rates.note(runningJob({ id: "b", usage: { measuredTime: now } }));
    vi.advanceTimersByTime(3500);
    expect(rates.percentOf({ id: "a" })).toBe(0);
    expect(rates.percentOf({ id: "b" })).toBeUndefined();
    rates.note(runningJob({ id: "a" }));
    expect(rates.percentOf({ id: "a" })).toBeUndefined();
    rates.forget("b");
    expect(rates.percentOf({ id: "b" })).toBeUndefined();
  });
});

describe("the table", () => {
  const jobs = [
    used("a", 1, 0, 5e6),
    used("b", 1, 0, 9e6),
    runningJob({ id: "c", progress: { percent: 42, unit: "", text: "" } }),
  ];
  const cpuPercentOf = ({ id }: Job) => ({ a: 150.04, b: 2 })[id];
  const ids = (sort: "cpu" | "memory" | "time" | "progress" | "id", isReversed = false) =>
    sortedForTop(jobs, { sort, isReversed }, cpuPercentOf).map(({ id }) => id);

  test("is sorted by what is asked for, the most of it first", () => {
    expect(ids("cpu")).toEqual(["a", "b", "c"]);
    expect(ids("memory")).toEqual(["b", "a", "c"]);
    expect(ids("progress")).toEqual(["c", "a", "b"]);
    expect(ids("id")).toEqual(["a", "b", "c"]);
    expect(ids("time")).toEqual(["a", "b", "c"]);
    expect(ids("memory", true)).toEqual(["c", "a", "b"]);
  });

  test("has as many jobs as fit, and what all of them use", () => {
    const order = { sort: "cpu", isReversed: false } as const;
    const screen = (height: number) =>
      formatTopScreen(
        jobs,
        { order, cpuPercentOf },
        { paint: (_style, text) => text, width: 100, height },
        now,
      );
    expect(screen(24).map((line) => line.replaceAll(/ +/g, " "))).toEqual([
      "3 running, CPU 152.0%, memory 14 MB, by CPU",
      "keys: c CPU, m memory, t run time, p progress, i id; again: reversed; q leaves",
      "ID CPU% MEMORY PROCS TIME PROGRESS COMMAND",
      "a 150.0 5 MB 2 1h sleep 1",
      "b 2.0 9 MB 2 1h sleep 1",
      "c 1h [####------] 42% sleep 1",
    ]);
    expect(screen(5)).toHaveLength(5);
    expect(screen(5).at(-1)).toBe("… and 2 more");
  });
});

describe("top", () => {
  test("prints a table once where there is no terminal, and JSON where that is asked for", async () => {
    const cli = new FakeCli();
    const list = cli.procman.list.bind(cli.procman);
    let looks = 0;
    cli.procman.list = async (options) => {
      const page = await list(options);
      looks += 1;
      return { ...page, jobs: page.jobs.map(({ id }) => used(id, looks, looks)) };
    };
    cli.procman.addJob("job1");
    expect(await cli.run("top"), cli.err.text).toBe(0);
    expect(cli.out.text).toMatch(/^ID +CPU% +MEMORY .*\njob1 +100\.0 +1 MB +2 /);
    expect(cli.procman.lastCall("list")).toMatchObject([
      { statuses: ["pending", "running"], includeUsage: true },
    ]);
    const before = cli.out.text.length;
    expect(await cli.run("top", "--json", "--sort", "memory")).toBe(0);
    expect(JSON.parse(cli.out.text.slice(before))).toMatchObject({ id: "job1", cpuPercent: 100 });
  });

  /** On a terminal, over a server that tells of two jobs twice and then of nothing. */
  async function watching() {
    const cli = new FakeCli({ terminal: true, rows: 10, columns: 90, env: { NO_COLOR: "1" } });
    cli.procman.watchJobs = async function* (options): AsyncGenerator<JobsEvent> {
      const event = (jobs: Job[]): JobsEvent => ({ type: "snapshot", jobs, revision: "r" });
      yield event([used("a", 1, 0, 5e6), used("b", 1, 0, 7e6)]);
      yield event([used("a", 2, 1, 5e6), used("b", 1.5, 1, 7e6)]);
      await new Promise((resolve) => options?.signal?.addEventListener("abort", resolve));
      throw options?.signal?.reason;
    };
    const running = cli.run("top");
    await eventually("the table", () => cli.out.text.includes("CPU 150.0%"));
    return { cli, running };
  }

  test("is sorted by keys, and q leaves the terminal as it was", async () => {
    const { cli, running } = await watching();
    expect(cli.typed.isRaw).toBe(true);
    cli.typed.write("m");
    await eventually("another order", () => cli.out.text.includes("by memory"));
    cli.typed.write("m");
    await eventually("the reverse", () => cli.out.text.includes("by memory, reversed"));
    cli.typed.write("xq");
    expect(await running).toBe(0);
    expect(cli.typed.isRaw).toBe(false);
    expect(cli.out.text.endsWith("\u001b[?7h\u001b[?25h\u001b[?1049l")).toBe(true);
  });

  test("Ctrl-C leaves, as a key and as a signal", async () => {
    const byKey = await watching();
    byKey.cli.typed.write("\u0003");
    expect(await byKey.running).toBe(130);
    const bySignal = await watching();
    bySignal.cli.interrupt.abort();
    expect(await bySignal.running).toBe(130);
    expect(bySignal.cli.typed.isRaw).toBe(false);
  });

  test("gives the keys back while it is suspended", async () => {
    const { cli, running } = await watching();
    await cli.suspension?.before();
    expect(cli.typed.isRaw).toBe(false);
    cli.suspension?.after();
    expect(cli.typed.isRaw).toBe(true);
    cli.typed.write("q");
    expect(await running).toBe(0);
  });
});
