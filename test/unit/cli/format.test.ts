import { describe, expect, test } from "vitest";
import { formatJobDetails, formatJobSummary } from "../../../src/cli/format/job-details.js";
import { jobExitCode, runExitCode } from "../../../src/cli/exit-codes.js";
import { shortDuration, statusText } from "../../../src/cli/format/job-facts.js";
import { progressText } from "../../../src/cli/format/progress.js";
import { formatJobTable, formatLiveTable } from "../../../src/cli/format/job-table.js";
import { attachEventJson, jobJson, idJson } from "../../../src/wire/json.js";
import { commandLine, printable } from "../../../src/cli/format/printable.js";
import { displayWidth } from "../../../src/cli/format/columns.js";
import { formatTable } from "../../../src/cli/format/table.js";
import { type Job, timeoutError } from "../../../src/contract/job.js";
import { endedJob, orphanedJob, runningJob } from "../client/some-job.js";

const plain = { paint: (_style: unknown, text: string) => text, width: Number.POSITIVE_INFINITY };
const now = new Date("2026-01-02T04:04:06.789Z");

describe("tables", () => {
  test("are never wider than the terminal: columns are left out by priority, the command is cut in its middle", () => {
    const words = ["train.py", "--epochs", "100", "--out", "model.bin"];
    const jobs = [
      endedJob({ id: "abcdefghijkl", command: "python", args: words, stdoutBytes: 2048 }),
      runningJob({ id: "mnopqrstuvwx", command: "日本語".repeat(9) }),
    ];
    for (const width of [100, 80, 60, 40, 30, 20, 5]) {
      for (const line of formatJobTable(jobs, { ...plain, width }, now)) {
        expect(displayWidth(line), line).toBeLessThanOrEqual(width);
      }
    }
    const titles = (width: number) => formatJobTable(jobs, { ...plain, width }, now)[0];
    expect(titles(80)).toMatch(/^ID +STATUS +EXIT +AGE +TIME +OUTPUT +COMMAND$/);
    expect(titles(60)).toMatch(/^ID +STATUS +EXIT +AGE +TIME +COMMAND$/);
    expect(titles(40)).toMatch(/^ID +STATUS +COMMAND$/);
    expect(formatJobTable(jobs, { ...plain, width: 45 }, now)[1]).toBe(
      "abcdefghijkl  completed  python train.…el.bin",
    );
  });

  test("are aligned, and only their last column is cut", () => {
    const rows = [
      ["a-long-identifier", "5", "a very long command line"],
      ["b", "1000", "x"],
    ];
    const columns = [
      { title: "ID", text: (row: string[]) => row[0] ?? "" },
      { title: "N", text: (row: string[]) => row[1] ?? "", align: "right" as const },
      { title: "COMMAND", text: (row: string[]) => row[2] ?? "" },
    ];
    expect(formatTable(rows, columns, { width: 40 })).toEqual([
      "ID                    N  COMMAND",
      "a-long-identifier     5  a very lon…line",
      "b                  1000  x",
    ]);
    expect(formatTable(rows, columns, { width: Number.POSITIVE_INFINITY })[1]).toContain("line");
    // Too narrow for anything: something of the first.
    expect(formatTable(rows, columns, { width: 5 })[1]).toBe("a-l…r");
  });

  test("of jobs of which one has a name", () => {
    const jobs = [runningJob({ id: "aaa", name: "web" }), endedJob({ id: "bbb" })];
    const lines = formatJobTable(jobs, { ...plain, width: 50 }, now);
    expect(lines).toEqual([
      "ID   NAME  STATUS     EXIT     TIME  COMMAND",
      "aaa  web   running               1h  sleep 1",
      "bbb        completed  0     55m 53s  sleep 1",
    ]);
    const live = formatLiveTable(jobs, { ...plain, width: 80, height: 24 }, now);
    expect(live[1]).toMatch(/^ID +NAME +STATUS/);
  });

  test("of jobs", () => {
    const jobs = [
      runningJob({ id: "aaa", progress: { percent: 42.9, unit: "", text: "" } }),
      endedJob({ id: "bbb", args: ["a b"], exitCode: 137, signal: "SIGKILL", stdoutBytes: 2048 }),
      orphanedJob({ id: "ccc" }),
    ];
    expect(formatJobTable(jobs, plain, now)).toEqual([
      "ID   STATUS       EXIT           AGE     TIME   OUTPUT  COMMAND",
      "aaa  running 42%               1h 1s       1h      0 B  sleep 1",
      "bbb  completed    137 SIGKILL  1h 1s  55m 53s  2.05 kB  sleep 'a b'",
      "ccc  orphaned                  1h 1s               0 B  sleep 1",
    ]);
  });
});

test("what a job brought along cannot move the terminal's cursor, or forge lines", () => {
  expect(printable("a\nb\tc\r\u001b[2Jd\u0000\u202e")).toBe(
    "a\\nb\\tc\\r\\u{1b}[2Jd\\u{0}\\u{202e}",
  );
  expect(printable("a\u200bb\u200ec\u200fd\u061ce\u00adf\ufeffg\u{e0041}")).toBe(
    String.raw`a\u{200b}b\u{200e}c\u{200f}d\u{61c}e\u{ad}f\u{feff}g\u{e0041}`,
  );
  expect(printable("👩‍👧")).toBe("👩‍👧");
  expect(printable("grüße 🎉 日本")).toBe("grüße 🎉 日本");
  expect(commandLine({ command: "sh", args: ["-c", "echo 'hi'", "", "a=b", "\u001b[31m"] })).toBe(
    "sh -c 'echo '\\''hi'\\''' '' a=b '\\u{1b}[31m'",
  );
});

test.each([
  [0, "0ms"],
  [320, "320ms"],
  [1250, "1.2s"],
  [60_000, "1m"],
  [3_725_000, "1h 2m"],
  [90_000_000, "1d 1h"],
])("%i ms are shown as %s", (ms, text) => {
  expect(shortDuration(ms)).toBe(text);
});

test("progress is told as far as it is known", () => {
  const some = { percent: 42, current: 12_300_000, total: 30_000_000, rate: 3_100_000 };
  expect(progressText({ ...some, unit: "B", etaMs: 62_000, text: "x" })).toBe(
    "42.0%  12.3 MB of 30 MB  3.1 MB/s  eta 1m 2s",
  );
  expect(progressText({ percent: 100, unit: "", text: "x" })).toBe("100%");
  expect(progressText({ current: 1234, unit: "files", text: "x" })).toBe("1,234 files");
  expect(progressText({ unit: "", text: "x" })).toBe("");
});

test("progress is part of the status while the job runs", () => {
  const progress = { percent: 99.9, unit: "", text: "" };
  expect(statusText(runningJob({ progress }))).toBe("running 99%");
  expect(statusText(endedJob({ progress }))).toBe("completed");
});

describe("a job's exit code", () => {
  test.each([
    ["completed", endedJob(), 0],
    ["failed", endedJob({ status: "failed", exitCode: 7 } as never), 7],
    ["failed, though its command said 0", endedJob({ status: "failed" } as never), 1],
    ["cancelled", endedJob({ status: "cancelled", exitCode: 143 } as never), 143],
    ["cancelled, though its command said 0", endedJob({ status: "cancelled" } as never), 1],
    ["orphaned", orphanedJob(), 123],
    ["running", runningJob(), 124],
  ])("%s", (_name, job, code) => {
    expect(jobExitCode(job)).toBe(code);
    expect(runExitCode(job)).toBe(code);
  });

  test("that its time limit has ended is another for run", () => {
    const timedOut = { status: "failed", exitCode: 143, error: timeoutError(200) } as Partial<Job>;
    expect(runExitCode(endedJob(timedOut))).toBe(124);
    expect(jobExitCode(endedJob(timedOut))).toBe(143);
  });
});

test("details leave out what there is none of, and never show the environment", () => {
  const job = endedJob({ env: { SECRET: "hunter2" }, labels: { team: "x y" }, requestId: "once" });
  const text = formatJobDetails(job, plain, now).join("\n");
  expect(text).toContain("id:          job1");
  expect(text).toContain("labels:      'team=x y'");
  expect(text).toContain("run time:    55m 53s");
  expect(text).toContain("environment: 1 variable ");
  expect(text).not.toContain("hunter2");
  expect(text).not.toContain("error:");
  expect(formatJobDetails(orphanedJob(), plain, now).join("\n")).toContain(
    "error:       the machine was rebooted",
  );
});

test("details tell of a log limit, and what is kept", () => {
  const limited = { logLimitBytes: 1e6, stdoutBytes: 12e6, stdoutFirstOffset: 11e6 };
  const text = formatJobDetails(endedJob(limited), plain, now).join("\n");
  expect(text).toContain("log limit:   1 MB\n");
  expect(text).toContain("stdout:      12 MB; the last 1 MB are kept\n");
  expect(text).toContain("stderr:      0 B\n");
});

test("details tell of pipes, and not of files", () => {
  const details = (output: "file" | "pipe") =>
    formatJobDetails(endedJob({ output }), plain, now).join("\n");
  expect(details("pipe")).toContain("output:      through pipes\n");
  expect(details("file")).not.toContain("output:");
});

test("details tell of umask, niceness and limits as the command line takes them", () => {
  const limits = { memoryMaxBytes: 512e6, cpus: 1.5, pidsMax: 100, openFilesMax: 64 };
  const asked = { umask: 0o7, nice: 0, softLimits: { core: -1, nofile: 1024 }, limits };
  const text = formatJobDetails(endedJob(asked), plain, now).join("\n");
  expect(text).toContain("umask:       007\n");
  expect(text).toContain("nice:        0\n");
  expect(text).toContain("soft limits: core=unlimited nofile=1024\n");
  expect(text).toContain(
    "limits:      512 MB of memory, 1.5 CPUs, 100 processes, 64 open files a process\n",
  );
});

test("details and the table tell what a job uses, as far as it is known", () => {
  const usage = {
    cpuTimeMs: 1500,
    memoryBytes: 2e6,
    memoryPeakBytes: 3e6,
    processes: 2,
    readBytes: 5,
    writtenBytes: 7000,
    lastOutputTime: new Date("2026-01-02T03:04:08Z"),
    measuredTime: now,
  };
  const text = formatJobDetails(runningJob({ usage }), plain, now).join("\n");
  expect(text).toContain("CPU time:    1.5s\n");
  expect(text).toContain("memory:      2 MB, 3 MB at the most\n");
  expect(text).toContain("processes:   2\n");
  expect(text).toContain("disk:        5 B read, 7 kB written\n");
  expect(text).toContain("last output: 2026-01-02T03:04:08.000Z\n");
  const least = formatJobDetails(runningJob({ usage: { measuredTime: now } }), plain, now);
  expect(least.join("\n")).not.toMatch(/^(CPU time|memory|processes|disk|last output):/m);
  const { memoryBytes: _, ...atEnd } = usage;
  const table = formatJobTable(
    [runningJob({ usage }), endedJob({ usage: atEnd }), runningJob()],
    { ...plain, width: 200 },
    now,
  );
  expect(table[0]).toMatch(/CPU +MEMORY +OUTPUT/);
  expect(table[1]).toMatch(/ 1\.5s +2 MB /);
  expect(table[2]).toMatch(/ 1\.5s +3 MB /);
  const unknown = formatJobTable([runningJob()], { ...plain, width: 200 }, now);
  expect(unknown[0]).not.toContain("MEMORY");
});

test("a summary is one line", () => {
  expect(formatJobSummary(endedJob({ exitCode: 3 }), plain, now)).toBe(
    "job1 completed, exit code 3, after 55m 53s",
  );
  expect(formatJobSummary(orphanedJob({ error: "a\nb" }), plain, now)).toBe("job1 orphaned: a\\nb");
});

describe("--json", () => {
  test("is the API's own form, with the zero values", () => {
    expect(JSON.parse(jobJson(endedJob({ stdoutBytes: 5 })))).toEqual({
      id: "job1",
      requestId: "",
      name: "",
      previousId: "",
      command: "sleep",
      args: ["1"],
      envNames: [],
      workDir: "/",
      labels: {},
      pid: 42,
      status: "completed",
      exitCode: 0,
      signal: "",
      error: "",
      reason: "",
      createdTime: "2026-01-02T03:04:05.678Z",
      startedTime: "2026-01-02T03:04:06.789Z",
      completedTime: "2026-01-02T04:00:00Z",
      stdoutBytes: "5",
      stderrBytes: "0",
      stdoutFirstOffset: "0",
      stderrFirstOffset: "0",
      logLimitBytes: "0",
      mergeOutput: false,
      output: "file",
      clearEnv: false,
      containment: "session",
      pty: false,
      stdin: false,
      truncatedFields: [],
      stdoutTruncations: 0,
      stderrTruncations: 0,
      missingLogs: [],
      lastSignal: "",
      umask: "",
      softLimits: {},
      remainingProcesses: 0,
      endRemaining: false,
    });
    expect(JSON.parse(jobJson(runningJob()))).not.toHaveProperty("exitCode");
  });

  test("is one line, whatever is in it", () => {
    expect(jobJson(endedJob({ command: "a\nb" }))).not.toContain("\n");
    expect(JSON.parse(idJson("job1"))).toEqual({ id: "job1" });
    const data = Buffer.from([0, 255]);
    const event = attachEventJson({ type: "chunk", stream: "stderr", offset: 7, data });
    expect(JSON.parse(event)).toEqual({
      chunk: { stream: "stderr", offset: "7", data: "AP8=" },
    });
  });
});
