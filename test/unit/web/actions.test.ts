import { signal } from "@preact/signals-core";
import { expect, test } from "vitest";
import { argumentError } from "../../../src/contract/errors.js";
import { Actions } from "../../../src/web/state/actions.js";
import { DEFAULT_QUERY } from "../../../src/web/state/job-query.js";
import { JobsState } from "../../../src/web/state/jobs-state.js";
import { errorWords, Notices } from "../../../src/web/state/notices.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function act() {
  const procman = new FakeProcman();
  const jobs = new JobsState({ procman, query: signal(DEFAULT_QUERY), nowMs: signal(0) });
  const notices = new Notices();
  const said = () => notices.shown.value.map(({ kind, text, details }) => [kind, text, ...details]);
  return { procman, jobs, said, notices, actions: new Actions({ procman, jobs, notices }) };
}

test("one job, or several, are cancelled, and it is said", async () => {
  const { procman, jobs, said, actions } = act();
  for (const id of ["a", "b", "c"]) procman.addJob(id);
  await actions.cancel(["a"], 1000);
  expect(procman.lastCall("cancelJobs")).toMatchObject([{ ids: ["a"] }, { gracePeriodMs: 1000 }]);
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
