import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import {
  claimProcessRecord,
  NO_EXIT_YET,
  isInTerminal,
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import { tempDir } from "../../helpers/temp-dir.js";

function newJob(process?: string): JobDir {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path);
  if (process !== undefined) writeFileSync(dir.process, process);
  return dir;
}

/** A line of /proc/<pid>/stat. */
const stat = (pid: number, startTime: string) =>
  `${pid} (sh) S 1 ${pid} ${pid} 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 ${startTime} 1000 50`;

const lines = ["boot-1", stat(10, "500"), stat(11, "501"), "cgroup "];
const text = (...more: string[]) => `${[...lines, ...more].join("\n")}\n`;
const runner = { pid: 10, startTime: "500" };
const command = { pid: 11, startTime: "501" };

describe.skipIf(process.platform !== "linux")("what the runner writes of itself", () => {
  test("says who it and its command are, and since when", () => {
    const dir = newJob(text());
    const identity = readProcessRecord(dir);
    const startedTime = statSync(dir.process).birthtime;
    expect(identity).toStrictEqual({
      kind: "complete",
      bootId: "boot-1",
      runner,
      exitRecorder: runner,
      command,
      cgroup: "",
      startedTime,
    });
    expect(identity.kind === "complete" && isInTerminal(identity)).toBe(false);
  });

  test("has the cgroup, the exit recorder and the shell's complaint where there are such", () => {
    const dir = newJob(
      text(`recorder ${stat(12, "502")}`, "not executed: 44: exec: x: not found").replace(
        "cgroup \n",
        "cgroup /sys/fs/cgroup/a b\n",
      ),
    );
    const identity = readProcessRecord(dir);
    expect(identity).toMatchObject({
      kind: "complete",
      runner,
      exitRecorder: { pid: 12, startTime: "502" },
      cgroup: "/sys/fs/cgroup/a b",
      notExecuted: "x: not found",
    });
    expect(identity.kind === "complete" && isInTerminal(identity)).toBe(true);
  });

  test.each([
    ["44: exec: x: not found", "x: not found"],
    ["exec: line 12: x: not found", "x: not found"],
    ["line 7: /x: Permission denied", "/x: Permission denied"],
    ["x: 5: no prefix", "x: 5: no prefix"],
  ])("a shell's complaint %j means %j", (complaint, notExecuted) => {
    const record = readProcessRecord(newJob(text(`not executed: ${complaint}`)));
    expect(record).toMatchObject({ notExecuted });
  });

  test("does not count before all of it is there", () => {
    const whole = text();
    for (let length = 0; length < whole.length; length += 1) {
      const record = readProcessRecord(newJob(whole.slice(0, length)));
      expect(record).toEqual({ kind: "incomplete" });
    }
  });

  test.each([
    ["without a boot", ["", ...lines.slice(1)]],
    ["without a runner", ["boot-1", "x", ...lines.slice(2)]],
    ["without a command", ["boot-1", stat(10, "500"), "x", "cgroup "]],
    ["without a cgroup line", [...lines.slice(0, 3), "x"]],
    ["with a recorder that is none", [...lines, "recorder x"]],
  ])("does not count %s", (_, written) => {
    expect(readProcessRecord(newJob(`${written.join("\n")}\n`)).kind).toBe("incomplete");
  });
});

test("a job without the file is told apart from one that was given up", () => {
  const dir = newJob();
  expect(readProcessRecord(dir)).toEqual({ kind: "missing" });
  expect(claimProcessRecord(dir)).toBe(true);
  expect(readProcessRecord(dir)).toEqual({ kind: "abandoned" });
  expect(statSync(dir.process).mode & 0o777).toBe(0o600);
});

test("a runner that was first is not given up", () => {
  const dir = newJob("boot-1\n");
  expect(claimProcessRecord(dir)).toBe(false);
  expect(readFileSync(dir.process, "utf8")).toBe("boot-1\n");
});

test("what the file system says is passed on", () => {
  const dir = new JobDir(join(tempDir(), "gone"));
  expect(() => claimProcessRecord(dir)).toThrow(
    expect.objectContaining({
      reason: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining(`create ${dir.process}: ENOENT`),
    }),
  );
  expect(existsSync(dir.path)).toBe(false);
  mkdirSync(dir.process, { recursive: true });
  expect(() => readProcessRecord(dir)).toThrow(`read ${dir.process}: EFTYPE`);
});

describe("an exit record", () => {
  const read = (content: string) => {
    const dir = newJob();
    writeFileSync(dir.exit, content);
    const { completedTime, ...rest } = readExitRecord(dir.exit) ?? {};
    if (completedTime) expect(completedTime).toEqual(statSync(dir.exit).mtime);
    return completedTime && rest;
  };

  test.each([
    ["0\n", { exitCode: 0 }],
    ["3\n0m0.01s 0m0.02s\n0m1.25s 1m0.50s\n", { exitCode: 3, cpuTimeMs: 61_750 }],
    // As a shell in another language prints it.
    ["128\n\n2m0,5s 0m0,25s\n", { exitCode: 128, cpuTimeMs: 120_750 }],
    ["137\n\n", { exitCode: 137, signal: "SIGKILL" }],
    ["255\n", { exitCode: 255 }],
    ["1\n\nx0m1s 0m1s\n", { exitCode: 1 }],
    ["1\n\n0m1s 0m1sx\n", { exitCode: 1 }],
    ["1\n\n0m1s\n", { exitCode: 1 }],
    // Written over what was there before.
    [`3\n0m0s 0m0s\n0m1s 0m0s\n${" ".repeat(20)}\n`, { exitCode: 3, cpuTimeMs: 1000 }],
    ["3\n0m0s 0m0s\n0m1s 0m0s\nwhat the command wrote", { exitCode: 3, cpuTimeMs: 1000 }],
  ])("%j means %o", (content, exit) => {
    expect(read(content)).toStrictEqual(exit);
  });

  test.each([
    "",
    "3",
    "3\n0m",
    "3\n0m0s 0m0s\n0m1s",
    "x\n",
    "1234\n",
    "\n",
    NO_EXIT_YET,
    // Half-written over that, for a reader of the same moment.
    `14${NO_EXIT_YET.slice(2)}`,
    `0m0.00s 0m0.00s\n0m0.01s 0m0.00s\n${NO_EXIT_YET.slice(32)}`,
  ])("%j is none", (content) => {
    expect(read(content)).toBeUndefined();
  });

  test("that is not there is none", () => {
    expect(readExitRecord(newJob().exit)).toBeUndefined();
  });
});
