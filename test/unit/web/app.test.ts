import { expect, test } from "vitest";
import type { JobState } from "../../../src/web/state/job-state.js";
import { App } from "../../../src/web/state/app.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function makeApp(search = "") {
  const procman = new FakeProcman();
  const door = {
    isKnown: true,
    look: async () => ({ type: "in" }) as const,
    enter: async () => ({ type: "in" }) as const,
    download: async () => "",
    leave: async () => {},
  };
  const addressBar = { search, push: () => {}, replace: () => {}, onChange: () => {} };
  return { procman, app: new App({ procman, door, addressBar }) };
}

test("nothing that runs is ended without a question", async () => {
  const { procman, app } = makeApp();
  const running = procman.addJob("running");
  const ended = procman.addJob("ended", { status: "completed" });
  const left = procman.addJob("left", { status: "failed", remainingProcesses: 2 });
  const asked = (...args: Parameters<App["ask"]>) => {
    app.question.value = undefined;
    app.ask(...args);
    return app.question.value;
  };
  expect(asked("cancel", [running, ended, left])).toEqual({
    type: "cancel",
    jobs: [running, left],
  });
  expect(asked("signal", [ended])).toBeUndefined();
  expect(asked("remove", [ended])).toEqual({ type: "remove", jobs: [ended] });
  for (const job of [running, left]) {
    expect(asked("restart", [job])).toEqual({ type: "restart", jobs: [job] });
  }
  expect(procman.calls).toEqual([]);
  expect(asked("restart", [ended])).toBeUndefined();
  await eventually("the restart", () => procman.calls.some(({ method }) => method === "restart"));
});

test("the open job's lease is renewed, and told at once", async () => {
  const { procman, app } = makeApp("?job=a");
  const leaseExpireTime = new Date(1000);
  procman.addJob("a", { leaseMs: 1000, leaseExpireTime });
  const state = app.job.value as JobState;
  await app.renewLease(state);
  expect(state.job.value).toMatchObject({ leaseExpireTime });
});
