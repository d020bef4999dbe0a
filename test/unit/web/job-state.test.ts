import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { JobState } from "../../../src/web/state/job-state.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a job is looked at until nothing of it changes any more", async () => {
  const procman = new FakeProcman();
  procman.addJob("a", { onEnd: { command: "notify", args: [], timeoutMs: 1000 } });
  const state = new JobState(procman, "a", undefined);
  let isOver = false;
  void state.follow(new AbortController().signal).then(() => {
    isOver = true;
  });
  procman.end("a", { remainingProcesses: 2 });
  await vi.advanceTimersByTimeAsync(3000);
  expect(state.job.value).toMatchObject({ status: "completed", remainingProcesses: 2 });
  procman.addJob("a", { ...state.job.value, remainingProcesses: undefined } as object);
  await vi.advanceTimersByTimeAsync(3000);
  expect(state.job.value?.remainingProcesses).toBeUndefined();
  // What is run at the end is not over.
  expect(isOver).toBe(false);
  procman.addJob("a", { ...state.job.value, onEndResult: { exitCode: 0, output: "" } });
  await vi.advanceTimersByTimeAsync(3000);
  expect(isOver).toBe(true);
  expect(state.job.value?.onEndResult?.exitCode).toBe(0);
});

test("a job that somebody has removed is gone", async () => {
  const state = new JobState(new FakeProcman(), "nonesuch", undefined);
  await state.follow(new AbortController().signal);
  expect(state.isGone.value).toBe(true);
});

test("what a job uses counts until it is told again, or the job has ended", () => {
  const procman = new FakeProcman();
  const state = new JobState(procman, "a", undefined);
  const usage = { memoryBytes: 1000, measuredTime: new Date() };
  state.hear(procman.addJob("a", { usage }));
  state.hear(procman.addJob("a", { stdoutBytes: 5 }));
  expect(state.job.value).toMatchObject({ usage, stdoutBytes: 5 });
  state.hear(procman.addJob("a", { status: "completed" }));
  expect(state.job.value?.usage).toBeUndefined();
});
