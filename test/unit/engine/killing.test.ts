import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { blockUntil } from "../../helpers/block-until.js";
import { eventually } from "../../helpers/eventually.js";
import { TestManager } from "../../helpers/test-manager.js";

interface Member {
  readonly pid: number;
  /** A letter: R and S run, T is stopped, Z has ended. */
  readonly state: string;
}

/** Who is in a session now, but for its leader. */
function membersOf(session: number): Member[] {
  return readdirSync("/proc").flatMap((name) => {
    const stat = /^\d+$/.test(name) ? readStat(name) : undefined;
    if (!stat || Number(name) === session) return [];
    const [state = "", , , sessionId] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(sessionId) === session && state !== "Z" ? [{ pid: Number(name), state }] : [];
  });
}

function readStat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
}

/** Ignores SIGTERM, and forks at every SIGUSR1. */
const FORKS_WHEN_TOLD =
  "trap '' TERM; trap 'sleep 1000 &' USR1; sleep 1000 & sleep 1000 & echo ready; while :; do wait; done";

describe.skipIf(process.platform !== "linux")("killing what has nothing but its session", () => {
  const kill = process.kill.bind(process);
  let spy: MockInstance<typeof process.kill>;

  beforeEach(() => {
    spy = vi.spyOn(process, "kill");
  });
  afterEach(() => {
    spy.mockRestore();
  });

  async function startForker() {
    const at = await TestManager.open();
    const { id } = await at.startReady(FORKS_WHEN_TOLD);
    at.withoutCgroup(id);
    const lines = at.read(id, "process").split("\n");
    const [, runner, command] = lines.map((line) => Number.parseInt(line, 10)) as [
      number,
      number,
      number,
    ];
    await eventually("its programs", () => membersOf(runner).length === 3);
    return { at, id, runner, command };
  }

  /** Calls back before each such signal is sent. */
  function beforeEachSignal(listeners: Partial<Record<NodeJS.Signals, () => unknown>>): void {
    spy.mockImplementation((pid, signal) => {
      listeners[signal as NodeJS.Signals]?.();
      return kill(pid, signal);
    });
  }

  /** How many were stopped as the first was killed. To stop takes a moment on a busy machine. */
  function countStopped(session: number): number {
    const members = membersOf(session);
    const isStopped = () => membersOf(session).every(({ state }) => state === "T");
    blockUntil("everybody to be stopped", isStopped, 5000);
    return members.length;
  }

  test("begins when all are stopped, so that nobody forks any more", async () => {
    const { at, id, runner } = await startForker();
    const stopped: number[] = [];
    let politeSignals = 0;
    beforeEachSignal({
      SIGTERM: () => {
        politeSignals += 1;
      },
      SIGKILL: () => stopped.push(countStopped(runner)),
    });
    await at.manager.cancel(id, { gracePeriodMs: 0 });
    expect(stopped[0]).toBe(3);
    expect(stopped).toHaveLength(3);
    expect(politeSignals).toBe(0);
    expect(membersOf(runner)).toEqual([]);
  });

  test("begins when there was nobody new either", async () => {
    const { at, id, runner, command } = await startForker();
    let forks = 0;
    const stopped: number[] = [];
    beforeEachSignal({
      // All that the first look has found are about to be stopped.
      SIGSTOP: () => {
        if (forks++ > 0) return;
        kill(command, "SIGUSR1");
        blockUntil("the fork", () => membersOf(runner).length === 4);
      },
      SIGKILL: () => stopped.push(countStopped(runner)),
    });
    await at.manager.cancel(id, { gracePeriodMs: 0 });
    expect(stopped[0]).toBe(4);
    expect(stopped).toHaveLength(4);
    expect(membersOf(runner)).toEqual([]);
  });

  test("is not done by what is polite: with grace, nobody is stopped before that is over", async () => {
    const { at, id, runner } = await startForker();
    const signals: string[] = [];
    beforeEachSignal({
      SIGTERM: () => signals.push("SIGTERM"),
      SIGSTOP: () => signals.push("SIGSTOP"),
      SIGKILL: () => signals.push("SIGKILL"),
    });
    const cancelling = at.manager.cancel(id, { gracePeriodMs: 3_600_000 });
    await eventually("the first signal", () => signals.length > 0);
    expect(await at.manager.refresh()).toEqual([]);
    expect(signals).toEqual(["SIGTERM"]);
    await at.manager.cancel(id, { gracePeriodMs: 0 });
    await cancelling;
    const three = (name: string) => [name, name, name];
    expect(signals).toEqual(["SIGTERM", ...three("SIGSTOP"), ...three("SIGKILL")]);
    expect(membersOf(runner)).toEqual([]);
  });

  test("is not put off by a second Cancel with more grace", async () => {
    const { at, id, runner } = await startForker();
    const first = at.manager.cancel(id, { gracePeriodMs: 100 });
    const second = at.manager.cancel(id, { gracePeriodMs: 3_600_000 });
    const statuses = (await Promise.all([first, second])).map(({ status }) => status);
    expect(statuses).toEqual(["cancelled", "cancelled"]);
    expect(membersOf(runner)).toEqual([]);
  });
});
