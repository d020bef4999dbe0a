import { describe, expect, test } from "vitest";
import type { JobManager } from "../../../src/core/job-manager.js";
import { MemoryMachine } from "../../helpers/memory-ports.js";

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

/** More turns of the event loop than anything here takes. */
const ALL_TURNS = 100;

interface Situation {
  readonly machine: MemoryMachine;
  readonly manager: JobManager;
  /** Jobs that run. */
  readonly running: string[];
  /** Jobs that have ended. */
  readonly ended: string[];
}

async function situation(turnsEach: number): Promise<Situation> {
  const machine = new MemoryMachine(() => turns(turnsEach));
  const manager = await machine.open({ pollIntervalMs: 60_000 });
  const ids: string[] = [];
  for (let n = 0; n < 6; n += 1) ids.push((await manager.start({ command: "x", stdin: true })).id);
  const ended = ids.slice(0, 3);
  for (const id of ended) {
    machine.exit(id, 0);
    await manager.wait(id);
  }
  return { machine, manager, running: ids.slice(3), ended };
}

/** Each begins something, and perhaps more than one. */
const OPERATIONS: Record<string, (at: Situation) => Promise<unknown>[]> = {
  start: ({ manager }) => [manager.start({ command: "x" })],
  "two that are the same start": ({ manager }) => [
    manager.start({ command: "x", requestId: "a" }),
    manager.start({ command: "x", requestId: "a" }),
  ],
  remove: ({ manager, ended }) => [manager.remove(ended[0] as string)],
  "remove of all": ({ manager, ended }) => ended.map((id) => manager.remove(id)),
  "two removes of one": ({ manager, ended }) =>
    [0, 0].map((n) => manager.remove(ended[n] as string)),
  cleanup: ({ manager }) => [manager.cleanup({ olderThanMs: 0 })],
  cancel: ({ manager, running }) => [manager.cancel(running[0] as string)],
  "cancel of what does not listen": ({ machine, manager, running }) => {
    machine.isStubborn = true;
    return [manager.cancel(running[0] as string)];
  },
  "cancel by one who leaves": ({ machine, manager, running }) => {
    machine.isStubborn = true;
    const signal = AbortSignal.abort();
    return running.map((id) => manager.cancel(id, { signal }));
  },
  "input, piece after piece": ({ manager, running: [id = ""] }) =>
    ["a", "b", "c"].map((text) => manager.sendInput(id, { data: Buffer.from(text) })),
  "an end": ({ machine, running }) => {
    for (const id of running) machine.exit(id, 3);
    return [];
  },
  "refresh after unseen ends": ({ machine, manager, running }) => {
    machine.tellsOfExits = false;
    for (const id of running) machine.exit(id, 3);
    return [manager.refresh()];
  },
  "an end, and its remove": ({ machine, manager, running: [id = ""] }) => {
    machine.tellsOfExits = false;
    machine.exit(id, 3);
    return [manager.remove(id)];
  },
};

describe.each(Object.keys(OPERATIONS))("%s under way at the close", (name) => {
  const begin = OPERATIONS[name] as (at: Situation) => Promise<unknown>[];

  test.each([1, 3])("changes nothing after it, however far it was (%i turns a step)", async (n) => {
    let wasUnderWay = false;
    for (let turnsBefore = 0; turnsBefore <= 20 * n; turnsBefore += 1) {
      const at = await situation(n);
      const calls = begin(at).map((call) =>
        call.then(
          () => {},
          () => {},
        ),
      );
      await turns(turnsBefore);
      const changesBefore = at.machine.changes;
      await at.manager.close();
      const { changes } = at.machine;
      wasUnderWay ||= changes > changesBefore;
      // Whoever waits is told.
      await Promise.all(calls);
      await turns(ALL_TURNS);
      expect(at.machine.changes, `closed after ${turnsBefore} turns`).toBe(changes);
    }
    // Some of them were cut off in the middle, and finished before the close did.
    expect(wasUnderWay).toBe(true);
  });
});

test("a time limit that passes at the close changes nothing after it", async () => {
  for (let turnsBefore = 0; turnsBefore <= 40; turnsBefore += 1) {
    const machine = new MemoryMachine(() => turns(1));
    machine.ageMs = 60_000;
    const first = await machine.open({ pollIntervalMs: 60_000 });
    await first.start({ command: "x", timeoutMs: 1 });
    await turns(turnsBefore);
    await first.close();
    const { changes } = machine;
    await turns(ALL_TURNS);
    expect(machine.changes, `closed after ${turnsBefore} turns`).toBe(changes);
  }
});
