import { describe, expect, test } from "vitest";
import {
  exitText,
  progressWords,
  reasonText,
  statusWords,
  visible,
} from "../../../src/web/state/words.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

const end = { completedTime: new Date(), exitCode: 0 };
const job = (rest: object) => new FakeProcman().addJob("job1", { ...end, ...rest });

test.each([
  ["a\nb\tc", "a␊b␉c"],
  ["\x1b[31m", "␛[31m"],
  ["\u202etxt", "⟨U+202E⟩txt"],
  ["\u007f\u009b", "␡⟨U+009B⟩"],
  ["<b>👩‍🚀 ok</b>", "<b>👩‍🚀 ok</b>"],
])("%j is shown as %j", (text, shown) => {
  expect(visible(text)).toBe(shown);
});

describe("the end of a job, in words", () => {
  test.each<[object, string]>([
    [{ status: "running" }, "It is running."],
    [{ status: "completed" }, "It ended well, with exit code 0."],
    [{ status: "failed", exitCode: 127 }, "It failed with exit code 127: a command was not found."],
    [{ status: "failed", exitCode: 9 }, "It failed with exit code 9."],
    [
      { status: "failed", exitCode: 139, signal: "SIGSEGV" },
      "It was ended by SIGSEGV: it used memory that is not its own (a crash).",
    ],
    [
      { status: "failed", exitCode: 143, signal: "SIGTERM", error: "timed out after 100 ms" },
      "It ran into its time limit: timed out after 100 ms.",
    ],
    [
      { status: "cancelled", exitCode: 143, signal: "SIGTERM" },
      "It was cancelled and ended by SIGTERM.",
    ],
    [{ status: "cancelled", exitCode: 0 }, "It was cancelled, and ended with exit code 0."],
    [
      { status: "orphaned", error: "the machine was rebooted\u202e" },
      "How it ended cannot be known: the machine was rebooted⟨U+202E⟩.",
    ],
    [
      {
        status: "failed",
        exitCode: 137,
        signal: "SIGKILL",
        reason: "OUT_OF_MEMORY",
        error: "out of memory: the kernel ended 1 process of the job",
      },
      "It ran out of memory: the kernel ended 1 process of the job. Its exit is 137 SIGKILL.",
    ],
    [
      { status: "cancelled", exitCode: 143, error: "its lease of 2000 ms was not renewed" },
      "It was cancelled: its lease of 2000 ms was not renewed.",
    ],
    [
      { status: "completed", remainingProcesses: 1 },
      "It ended well, with exit code 0. It has left 1 process behind, which still runs.",
    ],
    [
      { status: "completed", remainingProcesses: 2000 },
      "It ended well, with exit code 0. It has left 2,000 processes behind, which still run.",
    ],
  ])("%j", (rest, words) => {
    expect(statusWords(job(rest))).toBe(words);
  });

  test("has the exit code and the signal", () => {
    expect(exitText(job({ status: "failed", exitCode: 137, signal: "SIGKILL" }))).toBe(
      "137 SIGKILL",
    );
  });
});

test("a reason is said in words, also one that is not known here", () => {
  expect(reasonText(job({ status: "failed", reason: "OUT_OF_MEMORY" }))).toBe("out of memory");
  expect(reasonText(job({ status: "failed", reason: "BAD_LUCK" }))).toBe("bad luck");
  expect(reasonText(job({ status: "failed", error: "timed out after 5 ms" }))).toBe("timed out");
  const error = "its lease of 2000 ms was not renewed";
  expect(reasonText(job({ status: "cancelled", error }))).toBe("lease ran out");
  expect(reasonText(job({ status: "failed" }))).toBeUndefined();
});

test("a progress has what is known of it", () => {
  const bytes = { unit: "B", current: 1_200_000, total: 3e6, rate: 5e5, etaMs: 4000, text: "" };
  expect(progressWords(bytes)).toBe("1.2 MB of 3 MB · 500 kB/s · 4s left");
  expect(progressWords({ unit: "files", current: 3, total: 10, text: "" })).toBe("3 of 10 files");
});
