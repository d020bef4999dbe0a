import fc from "fast-check";
import { expect, test } from "vitest";
import type { JobFilter } from "../../../src/contract/procman.js";
import type { Job } from "../../../src/contract/job.js";
import { eventually } from "../../helpers/eventually.js";
import type { JobManager } from "../../../src/core/job-manager.js";
import { MemoryMachine } from "../../helpers/memory-ports.js";
import { ClientWatcher, DirectWatcher, type JobsWatcher } from "./jobs-watcher.js";

const FILTERS: readonly JobFilter[] = [
  {},
  { statuses: ["running"] },
  { labels: { label: "a" } },
  { statuses: ["failed", "completed"], labels: { label: "b" } },
];

type Step =
  | { readonly do: "start"; readonly label: string }
  | { readonly do: "write" | "end" | "fail" | "remove"; readonly job: number }
  | { readonly do: "cleanup" | "restart" }
  | { readonly do: "wait"; readonly turns: number }
  | { readonly do: "read"; readonly watcher: number; readonly events: number }
  | { readonly do: "lose" | "comeBack"; readonly watcher: number };

const which = fc.nat({ max: 20 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("start"), label: fc.constantFrom("a", "b") }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("end", "fail"), job: which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("write", "remove"), job: which }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("wait"), turns: fc.nat({ max: 20 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("read"), watcher: which, events: fc.nat({ max: 6 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom("lose", "comeBack"), watcher: which }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ do: "cleanup" }, { do: "restart" }) },
);

const scenario = fc.record({
  steps: fc.array(step, { maxLength: 80, size: "max" }),
  /** How many turns of the event loop things take, one after another. */
  delays: fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 30 }),
  keptRemovals: fc.constantFrom(1, 3, 10_000),
});

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

class Run {
  readonly #machine: MemoryMachine;
  readonly #options: { pollIntervalMs: number; keptRemovals: number };
  readonly #jobs: string[] = [];
  readonly #calls: Promise<unknown>[] = [];
  readonly watchers: readonly JobsWatcher[];
  #manager: JobManager;

  private constructor(
    machine: MemoryMachine,
    manager: JobManager,
    options: { pollIntervalMs: number; keptRemovals: number },
  ) {
    this.#machine = machine;
    this.#manager = manager;
    this.#options = options;
    const current = () => this.#manager;
    this.watchers = [
      ...FILTERS.map((filter) => new DirectWatcher(filter, current)),
      new ClientWatcher({}, current),
      new ClientWatcher({ statuses: ["running"] }, current),
    ];
  }

  static async open({ delays, keptRemovals }: Scenario): Promise<Run> {
    let slept = 0;
    const delay = () => turns(delays[slept++ % delays.length] ?? 0);
    const machine = new MemoryMachine(delay);
    const options = { pollIntervalMs: 5, keptRemovals };
    return new Run(machine, await machine.open(options), options);
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "start":
        return this.#call(async () => {
          const { id } = await this.#manager.start({ command: "x", labels: { label: step.label } });
          this.#jobs.push(id);
        });
      case "write":
        return this.#onJob(step.job, (id) => this.#machine.write(id, 5));
      case "end":
        return this.#onJob(step.job, (id) => this.#machine.exit(id, 0));
      case "fail":
        return this.#onJob(step.job, (id) => this.#machine.exit(id, 1));
      case "remove":
        return this.#onJob(step.job, (id) => this.#call(() => this.#manager.remove(id)));
      case "cleanup":
        return this.#call(() => this.#manager.cleanup());
      case "restart":
        await this.#manager.close();
        this.#manager = await this.#machine.open(this.#options);
        return;
      case "wait":
        return turns(step.turns);
      case "read":
        return this.#watcher(step.watcher).read(step.events);
      case "lose":
        return this.#watcher(step.watcher).lose();
      case "comeBack":
        return this.#watcher(step.watcher).comeBack();
    }
  }

  /**
   * Whatever was missed, everybody ends up with the list of jobs as it is.
   * @returns how many jobs those of everybody are, together.
   */
  async settle(): Promise<number> {
    await Promise.all(this.#calls);
    for (const watcher of this.watchers) watcher.read(Number.POSITIVE_INFINITY);
    for (const watcher of this.watchers) {
      const { picture } = watcher;
      await eventually(`the picture of ${JSON.stringify(picture.filter)}`, async () => {
        if (watcher.failure !== undefined) return true;
        watcher.comeBack();
        const { jobs } = await this.#manager.list({ ...picture.filter, pageSize: 1000 });
        expect([...picture.jobs.values()].sort(byId)).toEqual([...jobs].sort(byId));
        return true;
      });
    }
    this.throwFailures();
    return this.watchers.reduce((sum, { picture }) => sum + picture.jobs.size, 0);
  }

  throwFailures(): void {
    for (const { failure } of this.watchers) if (failure !== undefined) throw failure;
  }

  async close(): Promise<void> {
    await Promise.all(this.watchers.map((watcher) => watcher.close()));
    await this.#manager.close();
  }

  #watcher(n: number): JobsWatcher {
    return this.watchers[n % this.watchers.length] as JobsWatcher;
  }

  #onJob(n: number, act: (id: string) => void): void {
    const id = this.#jobs[n % this.#jobs.length];
    if (id !== undefined) act(id);
  }

  /** Not waited for; it may well be refused. */
  #call(act: () => Promise<unknown>): void {
    this.#calls.push(act().catch(() => {}));
  }
}

function byId(a: Job, b: Job): number {
  return a.id < b.id ? -1 : 1;
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

const BUDGET_MS = 5000;
/** On a busy machine too. */
const MIN_RUNS = 25;

test("whoever watches jobs, however slowly and over however many connections, ends up with what is", async () => {
  const deadline = performance.now() + BUDGET_MS;
  let runs = 0;
  let pictured = 0;
  await fc.assert(
    fc.asyncProperty(scenario, async (scenario) => {
      if (runs >= MIN_RUNS && performance.now() > deadline) return;
      runs += 1;
      const run = await Run.open(scenario);
      try {
        for (const step of scenario.steps) await run.take(step);
        pictured += await run.settle();
      } finally {
        await run.close();
      }
      run.throwFailures();
    }),
    { numRuns: 500, endOnFailure: true },
  );
  expect(runs).toBeGreaterThanOrEqual(MIN_RUNS);
  // The pictures that were as they should be were not all empty.
  expect(pictured).toBeGreaterThanOrEqual(MIN_RUNS);
});
