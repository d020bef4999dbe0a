import { signal } from "@preact/signals-core";
import { expect, onTestFinished, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import { DEFAULT_QUERY, type JobQuery } from "../../../src/web/state/job-query.js";
import { JobsState } from "../../../src/web/state/jobs-state.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function follow(procman: FakeProcman) {
  const query = signal<JobQuery>(DEFAULT_QUERY);
  const jobs = new JobsState({ procman, query, nowMs: signal(0) });
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const followed = jobs.follow(controller.signal);
  const ids = () =>
    jobs.rows.value
      .map(({ id }) => id)
      .sort()
      .join();
  return { query, jobs, controller, followed, ids };
}

test("jobs come, change and go", async () => {
  const procman = new FakeProcman();
  procman.addJob("a");
  const { jobs, query, ids } = follow(procman);
  await eventually("the list", () => jobs.loaded.value);
  expect(ids()).toBe("a");
  procman.addJob("b", { name: "web" });
  await eventually("the new job", () => ids() === "a,b");
  procman.end("a");
  await eventually("the end", () => jobs.get("a")?.status === "completed");
  query.value = { ...DEFAULT_QUERY, text: "web" };
  expect(ids()).toBe("b");
  expect(jobs.total.value).toBe(2);
  expect(jobs.isFiltered.value).toBe(true);
  query.value = DEFAULT_QUERY;
  await procman.remove("a");
  await eventually("the removal", () => ids() === "b");
});

test("what an action has told is there at once, and what it removed is not", async () => {
  const procman = new FakeProcman();
  const { jobs, ids } = follow(procman);
  await eventually("the list", () => jobs.loaded.value);
  jobs.tell(new FakeProcman().addJob("x"));
  expect(ids()).toBe("x");
  jobs.forget(["x"]);
  expect(ids()).toBe("");
});

test("after a pause it goes on from the last event", async () => {
  const procman = new FakeProcman();
  procman.addJob("a");
  const { jobs, controller, followed } = follow(procman);
  await eventually("the list", () => jobs.loaded.value);
  procman.end("a");
  await eventually("the end", () => jobs.get("a")?.status === "completed");
  controller.abort();
  await followed;
  expect(jobs.error.value).toBeUndefined();
  const again = new AbortController();
  onTestFinished(() => again.abort());
  void jobs.follow(again.signal);
  expect(procman.lastCall("watchJobs")).toMatchObject([{ sinceRevision: "1" }]);
});

test("why there is no list is told", async () => {
  const procman = new FakeProcman();
  procman.list = () => Promise.reject(new Error("no"));
  procman.failure = new ProcmanError("STORAGE_UNAVAILABLE", "the disk is gone");
  const { jobs, followed } = follow(procman);
  await followed;
  expect(jobs.error.value?.message).toBe("the disk is gone");
  expect(jobs.loaded.value).toBe(false);
});
