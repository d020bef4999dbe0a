import { describe, expect, test } from "vitest";
import { exitText, progressWords, statusWords, visible } from "../../../src/web/state/words.js";
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
  ])("%j", (rest, words) => {
    expect(statusWords(job(rest))).toBe(words);
  });

  test("has the exit code and the signal", () => {
    expect(exitText(job({ status: "failed", exitCode: 137, signal: "SIGKILL" }))).toBe(
      "137 SIGKILL",
    );
  });
});

test("a progress has what is known of it", () => {
  const bytes = { unit: "B", current: 1_200_000, total: 3e6, rate: 5e5, etaMs: 4000, text: "" };
  expect(progressWords(bytes)).toBe("1.2 MB of 3 MB · 500 kB/s · 4s left");
  expect(progressWords({ unit: "files", current: 3, total: 10, text: "" })).toBe("3 of 10 files");
});
