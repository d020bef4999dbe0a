import { signal } from "@preact/signals-core";
import { expect, test, vi } from "vitest";
import { argumentError, ProcmanError } from "../../../src/contract/errors.js";
import type { Job } from "../../../src/contract/job.js";
import { Actions, remainingCount, withProcesses } from "../../../src/web/state/actions.js";
import { DEFAULT_QUERY } from "../../../src/web/state/job-query.js";
import { JobsState } from "../../../src/web/state/jobs-state.js";
import { errorWords, Notices } from "../../../src/web/state/notices.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function act() {
  const procman = new FakeProcman();
  const jobs = new JobsState({ procman, query: signal(DEFAULT_QUERY), nowMs: signal(0) });
  const notices = new Notices();
  const said = () => notices.shown.value.map(({ kind, text, details }) => [kind, text, ...details]);
  const asked: (readonly Job[])[] = [];
  const askToRemove = (jobs: readonly Job[]) => void asked.push(jobs);
  const actions = new Actions({ procman, jobs, notices, askToRemove });
  return { procman, jobs, said, notices, asked, actions };
}

test("one job, or several, are cancelled, and it is said", async () => {
  const { procman, jobs, said, actions } = act();
  const [a] = ["a", "b", "c"].map((id) => procman.addJob(id));
  await actions.cancel(a ? [a] : [], 1000);
  expect(procman.lastCall("cancelJobs")).toEqual([
    { ids: ["a"] },
    { gracePeriodMs: 1000, includeRemaining: true },
  ]);
  expect(jobs.get("a")?.status).toBe("cancelled");
  await actions.signal(["b", "c"], "SIGHUP");
  expect(said()).toEqual([
    ["done", "Cancelled the job."],
    ["done", "Sent SIGHUP to 2 jobs."],
  ]);
});

test("what could not be done is said of each job", async () => {
  const { procman, said, actions } = act();
  procman.addJob("a");
  procman.addJob("b");
  procman.end("b");
  await actions.remove(["a", "b", "nonesuch"]);
  expect(said()).toEqual([
    ["failed", "Could not remove 2 of 3; 1 done", "job a is running", 'no job "nonesuch"'],
  ]);
});

test("what a job has left behind is ended, and it is said so", async () => {
  const { procman, said, actions } = act();
  const job = procman.addJob("a", { status: "completed", remainingProcesses: 2 });
  await actions.cancel([job], 0);
  expect(said()).toEqual([["done", "Ended what was left by the job."]]);
});

test("where a job has left processes behind, the notice offers to end them and to remove it", async () => {
  const { procman, notices, asked, actions } = act();
  const job = procman.addJob("a", { status: "completed", remainingProcesses: 2 });
  vi.spyOn(procman, "remove").mockRejectedValueOnce(
    new ProcmanError("JOB_HAS_PROCESSES", "job a has left 2 processes behind"),
  );
  await actions.remove(["a"]);
  expect(procman.lastCall("removeJobs")).toEqual([{ ids: ["a"] }, { cancel: true }]);
  const [notice] = notices.shown.value;
  expect(notice?.details).toEqual(["job a has left 2 processes behind"]);
  notice?.offer?.take();
  await eventually("the question", () => asked.length === 1);
  expect(asked).toEqual([[job]]);
  await actions.remove(["a"], { includeRemaining: true });
  expect(procman.lastCall("removeJobs")[1]).toEqual({ cancel: true, includeRemaining: true });
});

test("a job whose record cannot be read is removed, and is not shown any more", async () => {
  const { procman, jobs, said, actions } = act();
  procman.unreadable = [{ id: "bad", error: "its record is damaged" }];
  await jobs.reloadUnreadable();
  expect(jobs.unreadable.value).toMatchObject({ unreadableSize: 1 });
  await actions.removeUnreadable("bad");
  expect(jobs.unreadable.value).toMatchObject({ unreadable: [], unreadableSize: 0 });
  await actions.removeUnreadable("bad");
  expect(said()).toEqual([
    ["done", "Removed the job."],
    ["failed", 'Could not remove the job: no job "bad"'],
  ]);
});

test("a lease is renewed, or it is said why not", async () => {
  const { procman, said, actions } = act();
  procman.addJob("a", { leaseMs: 1000 });
  expect(await actions.renewLease("a")).toMatchObject({ id: "a" });
  procman.failure = new ProcmanError("NO_LEASE", "job a has no lease");
  expect(await actions.renewLease("a")).toBeUndefined();
  expect(said()).toEqual([["failed", "Could not renew the lease: job a has no lease"]]);
});

test("a call that fails is said, with the fields that are wrong", async () => {
  const { procman, said, actions } = act();
  procman.failure = argumentError("INVALID_ARGUMENT", [
    { field: "signal", description: "is no signal\u202e" },
  ]);
  await actions.signal(["a"], "SIGNONE");
  expect(said()).toEqual([
    [
      "failed",
      "Could not send SIGNONE to the job: something in it is not right",
      "signal: is no signal⟨U+202E⟩",
    ],
  ]);
  procman.failure = new Error("no");
  expect(await actions.restart("a")).toBeUndefined();
  expect(said()[1]).toEqual(["failed", "Could not restart the job: no"]);
});

test("cleaning up says how much was removed", async () => {
  const { said, actions } = act();
  await actions.cleanUp(1000);
  expect(said()).toEqual([["done", "Removed 2 jobs."]]);
});

test("long lists of what is wrong are cut, and notices can be dismissed", () => {
  const { notices } = act();
  notices.failed(
    "no",
    Array.from({ length: 20 }, (_, index) => `job ${index}`),
  );
  const [notice] = notices.shown.value;
  expect(notice?.details.at(-1)).toBe("and 12 more");
  if (notice) notices.dismiss(notice);
  expect(notices.shown.value).toEqual([]);
  expect(errorWords("odd")).toEqual({ text: "odd", details: [] });
});

test("jobs that have processes are those that run, and those that have left some behind", () => {
  const { procman } = act();
  const jobs = [
    procman.addJob("a"),
    procman.addJob("b", { status: "completed" }),
    procman.addJob("c", { status: "failed", remainingProcesses: 3 }),
  ];
  expect(withProcesses(jobs).map(({ id }) => id)).toEqual(["a", "c"]);
  expect(remainingCount(jobs)).toBe(3);
});
