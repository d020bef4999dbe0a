import fc from "fast-check";
import { join } from "node:path";
import { expect, test } from "vitest";
import { STATUSES } from "../../../src/contract/job.js";
import { tempDir } from "../../helpers/temp-dir.js";
import {
  COMMANDS,
  checkJob,
  type CommandName,
  letTimePass,
  listAll,
  type Model,
  type ModelJob,
  possibleStatuses,
  Real,
  reasonOf,
  surelyRuns,
} from "./manager-model.js";

type Command = fc.AsyncCommand<Model, Real>;

/** A call that fc can show as what it is, with its arguments. */
function command(
  text: string,
  run: (model: Model, real: Real) => Promise<void>,
  check: (model: Readonly<Model>) => boolean = () => true,
): Command {
  return { check, run, toString: () => text };
}

/** A call on one of the jobs there are. */
const onJob = (
  text: string,
  run: (known: ModelJob, real: Real, model: Model) => Promise<void>,
): fc.Arbitrary<Command> =>
  fc.nat({ max: 20 }).map((n) =>
    command(
      `${text}(${n})`,
      (model, real) => run(model.jobs[n % model.jobs.length] as ModelJob, real, model),
      ({ jobs }) => jobs.length > 0,
    ),
  );

const label = fc.constantFrom("a", "b");

const start = fc
  .tuple(
    fc.constantFrom(...(Object.keys(COMMANDS) as CommandName[])),
    label,
    fc.constantFrom("", "", "r1", "r2"),
  )
  .map(([name, label, requestId]) =>
    command(`start(${name}, ${label}, ${requestId})`, async (model, real) => {
      const request = { ...COMMANDS[name], labels: { label }, requestId };
      const first = model.jobs.find((job) => requestId !== "" && job.requestId === requestId);
      if (!first) {
        const job = await real.manager.start(request);
        expect(job.status).toBe("running");
        model.jobs.push({ id: job.id, name, label, requestId, cancelled: false, killed: false });
      } else if (first.name === name && first.label === label) {
        checkJob(await real.manager.start(request), first);
      } else {
        expect(await reasonOf(real.manager.start(request))).toBe("REQUEST_ID_CONFLICT");
      }
    }),
  );

const get = onJob("get", async (known, real) => checkJob(await real.manager.get(known.id), known));

const look = onJob("wait 0", async (known, real) => {
  checkJob(await real.manager.wait(known.id, { timeoutMs: 0 }), known);
});

const wait = onJob("wait", async (known, real) => {
  if (surelyRuns(known)) return;
  checkJob(await real.manager.wait(known.id), known);
  expect(known.ended).toBeDefined();
});

const cancel = fc.constantFrom(0, 50).chain((gracePeriodMs) =>
  onJob(`cancel ${gracePeriodMs}`, async (known, real) => {
    const couldRun = possibleStatuses(known).includes("running");
    const mustRun = surelyRuns(known);
    const reason = await reasonOf(real.manager.cancel(known.id, { gracePeriodMs }));
    if (!couldRun) expect(reason).toBe("JOB_NOT_RUNNING");
    if (mustRun) expect(reason).toBeUndefined();
    if (reason === undefined) known.cancelled = true;
    else expect(reason).toBe("JOB_NOT_RUNNING");
    checkJob(await real.manager.get(known.id), known);
    expect(known.ended).toBeDefined();
    if (reason === undefined) expect(known.ended?.status).toBe("cancelled");
  }),
);

const kill = onJob("signal KILL", async (known, real) => {
  const couldRun = possibleStatuses(known).includes("running");
  const mustRun = surelyRuns(known);
  // Before the call: the end may be seen while it is under way.
  if (couldRun) known.killed = true;
  const reason = await reasonOf(real.manager.signal(known.id, "KILL"));
  if (!couldRun) expect(reason).toBe("JOB_NOT_RUNNING");
  else if (mustRun) expect(reason).toBeUndefined();
  else expect([undefined, "JOB_NOT_RUNNING"]).toContain(reason);
});

const remove = onJob("remove", async (known, real, model) => {
  const reason = await reasonOf(real.manager.remove(known.id));
  if (surelyRuns(known)) expect(reason).toBe("JOB_RUNNING");
  if (known.ended) expect(reason).toBeUndefined();
  if (reason === undefined) forget(model, [known.id]);
  else expect(reason).toBe("JOB_RUNNING");
});

const cleanup = fc.constant(
  command("cleanup 0", async (model, real) => {
    const removedIds = await real.manager.cleanup({ olderThanMs: 0 });
    for (const known of model.jobs) {
      if (surelyRuns(known)) expect(removedIds).not.toContain(known.id);
      if (known.ended) expect(removedIds).toContain(known.id);
    }
    const ids = model.jobs.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining([...removedIds]));
    forget(model, removedIds);
  }),
);

const defaultCleanup = fc.constant(
  command("cleanup", async (_model, real) => {
    expect(await real.manager.cleanup()).toEqual([]);
  }),
);

const refresh = fc.constant(
  command("refresh", async (model, real) => {
    for (const job of await real.manager.refresh()) {
      const known = model.jobs.find(({ id }) => id === job.id);
      expect(known?.ended).toBeUndefined();
      checkJob(job, known as ModelJob);
    }
  }),
);

const list = fc
  .tuple(
    fc.option(label, { nil: undefined }),
    fc.subarray([...STATUSES]),
    fc.integer({ min: 1, max: 5 }),
  )
  .map(([label, statuses, pageSize]) =>
    command(`list(${label}, [${statuses.join()}], ${pageSize})`, async (model, real) => {
      const filter = { statuses, ...(label === undefined ? {} : { labels: { label } }) };
      const jobs = await listAll(real.manager, filter, pageSize);
      const newestFirst = model.jobs
        .toReversed()
        .filter((job) => label === undefined || job.label === label);
      const ids = jobs.map(({ id }) => id);
      const known = newestFirst.filter(({ id }) => ids.includes(id));
      // None twice, none that is not there, in order.
      expect(ids).toEqual(known.map(({ id }) => id));
      jobs.forEach((job, index) => {
        checkJob(job, known[index] as ModelJob);
      });
      for (const job of newestFirst) {
        const possible = possibleStatuses(job);
        const wanted = possible.filter((s) => statuses.length === 0 || statuses.includes(s));
        if (wanted.length === possible.length) expect(ids).toContain(job.id);
        if (wanted.length === 0) expect(ids).not.toContain(job.id);
      }
    }),
  );

const getRemoved = fc.constant(
  command("get removed", async (model, real) => {
    for (const { id } of model.removed) {
      expect(await reasonOf(real.manager.get(id))).toBe("JOB_NOT_FOUND");
    }
  }),
);

const reopen = fc.constant(command("reopen", (_model, real) => real.reopen()));

const pause = fc.constant(command("pause", letTimePass));

function forget(model: Model, ids: readonly string[]): void {
  for (const id of ids) {
    const [job] = model.jobs.splice(
      model.jobs.findIndex((job) => job.id === id),
      1,
    );
    model.removed.push(job as ModelJob);
  }
}

const verbs = [
  ...Array.from({ length: 6 }, () => start),
  get,
  look,
  wait,
  cancel,
  kill,
  remove,
  cleanup,
  defaultCleanup,
  refresh,
  list,
  getRemoved,
  reopen,
  pause,
];

const BUDGET_MS = 15_000;
/** On a busy machine too. */
const MIN_RUNS = 8;

test("any sequence of calls leads to what a simple model says", async () => {
  const dir = tempDir();
  const deadline = performance.now() + BUDGET_MS;
  let runs = 0;
  const tally = { ended: 0, removed: 0 };
  await fc.assert(
    fc.asyncProperty(fc.commands(verbs, { maxCommands: 40, size: "max" }), async (commands) => {
      // fast-check's own limit would leave the run under way behind.
      if (runs >= MIN_RUNS && performance.now() > deadline) return;
      runs += 1;
      const real = await Real.open(join(dir, String(runs)));
      const model: Model = { jobs: [], removed: [] };
      try {
        await fc.asyncModelRun(() => ({ model, real }), commands);
        tally.removed += model.removed.length;
        tally.ended += [...model.jobs, ...model.removed].filter(({ ended }) => ended).length;
      } finally {
        await real.close();
      }
    }),
    // Shrinking would take minutes: the commands are real. The seed and the calls are enough.
    { numRuns: 100, endOnFailure: true },
  );
  expect(runs).toBeGreaterThanOrEqual(MIN_RUNS);
  // What the sequences led to, all in all: they were not all refused, or empty.
  expect(tally.ended).toBeGreaterThan(0);
  expect(tally.removed).toBeGreaterThan(0);
});
