import { describe, expect, onTestFinished, test } from "vitest";
import type { JobsEvent, WatchJobsOptions } from "../../../src/contract/procman.js";
import { eventually } from "../../helpers/eventually.js";
import type { JobManager } from "../../../src/core/job-manager.js";
import { MemoryMachine } from "../../helpers/memory-ports.js";

interface Options {
  readonly keptRemovals?: number;
  readonly pollIntervalMs?: number;
}

/** A manager of jobs in memory, on a machine whose disk can be made to hang. */
async function setUp({ pollIntervalMs = 60_000, ...options }: Options = {}) {
  const disk = { ready: Promise.resolve() };
  const machine = new MemoryMachine(() => disk.ready);
  const manager = await machine.open({ pollIntervalMs, ...options });
  onTestFinished(() => manager.close());
  const start = async (label = "a") => {
    const job = await manager.start({ command: "x", labels: { label } });
    return job.id;
  };
  const end = async (id: string, exitCode = 0) => {
    machine.exit(id, exitCode);
    await manager.wait(id);
  };
  /** The disk answers nothing until the function that is returned is called. */
  const hang = () => {
    let goOn = () => {};
    disk.ready = new Promise((resolve) => {
      goOn = resolve;
    });
    return () => goOn();
  };
  return { machine, manager, start, end, hang };
}

/** One who takes an event when the test says so. */
function watcher(manager: JobManager, options: WatchJobsOptions = {}) {
  const events = manager.watchJobs(options)[Symbol.asyncIterator]();
  onTestFinished(async () => void (await events.return?.()));
  let last = "";
  const next = async () => {
    const { value } = (await events.next()) as { value: JobsEvent };
    last = value.revision;
    return value;
  };
  return {
    next,
    told: async (count = 1) => {
      const texts: string[] = [];
      while (texts.length < count) texts.push(shown(await next()));
      return texts;
    },
    leave: async () => {
      await events.return?.();
      return last;
    },
  };
}

function shown(event: JobsEvent): string {
  switch (event.type) {
    case "snapshot":
      return `snapshot ${event.jobs.map(({ id, status }) => `${id} ${status}`).join(", ")}`.trim();
    case "resumed":
      return "resumed";
    case "changed":
      return `${event.job.id} ${event.job.status}`;
    case "removed":
      return `${event.id} removed`;
    case "line":
      return `${event.id}: ${event.line.text}`;
    case "searched":
      return `${event.id} searched${event.complete ? " to its end" : ""}`;
  }
}

test("a snapshot is of one moment, newest first, also where a job ends while it is made", async () => {
  const { manager, start, end, hang } = await setUp();
  const ids: string[] = [];
  // More than are looked at at a time.
  for (let n = 0; n < 100; n += 1) ids.unshift(await start());
  const [newest, oldest] = [ids[0] as string, ids.at(-1) as string];
  // Somebody watches already, so that what follows begins with the snapshot.
  await watcher(manager).told();
  const { told } = watcher(manager, { statuses: ["running"] });
  const goOn = hang();
  const first = told();
  await new Promise(setImmediate);
  goOn();
  await Promise.all([end(newest), end(oldest)]);
  expect(await first).toEqual([`snapshot ${ids.map((id) => `${id} running`).join(", ")}`]);
  expect((await told(2)).sort()).toEqual([`${newest} completed`, `${oldest} completed`].sort());
});

test("of the jobs of one name, and of no others", async () => {
  const { manager, end } = await setUp();
  const start = (name: string) => manager.start({ command: "x", name });
  const { id: first } = await start("web");
  await start("db");
  const { told } = watcher(manager, { name: "web" });
  expect(await told()).toEqual([`snapshot ${first} running`]);
  await end(first);
  await start("api");
  const { id: second } = await start("web");
  await manager.remove(first);
  expect(await told(2)).toEqual([`${second} running`, `${first} removed`]);
});

test("one who is slow is told the latest state of each job, in the order of the last changes", async () => {
  const { manager, start, end } = await setUp();
  const a = await start();
  const { told } = watcher(manager);
  expect(await told()).toEqual([`snapshot ${a} running`]);
  const b = await start();
  const c = await start();
  await end(b, 1);
  await manager.remove(b);
  const d = await start();
  await end(a);
  // Of b nothing was told, so nothing is to be taken back.
  expect(await told(3)).toEqual([`${c} running`, `${d} running`, `${a} completed`]);
});

test("what never matched when it was looked at is not told of; what leaves is told once", async () => {
  const { manager, start, end } = await setUp();
  const { told } = watcher(manager, { statuses: ["running"], labels: { label: "a" } });
  expect(await told()).toEqual(["snapshot"]);
  await end(await start());
  await start("b");
  const a = await start();
  expect(await told()).toEqual([`${a} running`]);
  await end(a);
  expect(await told()).toEqual([`${a} completed`]);
  await manager.remove(a);
  const last = await start();
  expect(await told()).toEqual([`${last} running`]);
});

describe("a job whose files are being removed has not written less", () => {
  /** A job that has written 7 bytes and ended; and how to remove it up to that moment. */
  async function setUpRemoval() {
    const { hang, ...rest } = await setUp();
    const { machine, start, end } = rest;
    const id = await start();
    machine.write(id, 7);
    let goOn = () => {};
    const filesGone = new Promise<void>((resolve) => {
      machine.onRemoved = () => {
        goOn = hang();
        resolve();
      };
    });
    return { ...rest, id, end: () => end(id), filesGone, goOn: () => goOn() };
  }

  test("than was told before", async () => {
    const { manager, id, end, filesGone, goOn } = await setUpRemoval();
    const { next, told } = watcher(manager);
    expect(await told()).toEqual([`snapshot ${id} running`]);
    await end();
    const removed = manager.remove(id);
    await filesGone;
    const changed = next();
    goOn();
    await removed;
    expect(await changed).toMatchObject({ job: { status: "completed", stdoutBytes: 7 } });
    expect(await told()).toEqual([`${id} removed`]);
  });

  test("than was told by the process before", async () => {
    const { machine, manager, id, end, filesGone, goOn } = await setUpRemoval();
    await end();
    await manager.close();
    const second = await machine.open({ pollIntervalMs: 60_000 });
    onTestFinished(() => second.close());
    const { next, told } = watcher(second);
    const removed = second.remove(id);
    await filesGone;
    const snapshot = next();
    await new Promise(setImmediate);
    goOn();
    await removed;
    expect(await snapshot).toMatchObject({ jobs: [{ id, stdoutBytes: 7 }] });
    expect(await told()).toEqual([`${id} removed`]);
  });
});

describe("one who comes back", () => {
  test("is told what it missed, and nothing else", async () => {
    const { manager, start, end } = await setUp();
    const [a, b, c] = [await start(), await start(), await start()];
    await end(c);
    const before = watcher(manager);
    await before.told();
    const sinceRevision = await before.leave();
    await end(a);
    await manager.remove(a);
    await end(b, 1);
    const d = await start();
    const { told } = watcher(manager, { sinceRevision });
    expect(await told(4)).toEqual(["resumed", `${a} removed`, `${b} failed`, `${d} running`]);
    await end(d);
    expect(await told()).toEqual([`${d} completed`]);
  });

  test("goes on from each event, and again from there", async () => {
    const { manager, start } = await setUp();
    const revisions: string[] = [];
    const first = watcher(manager);
    revisions.push((await first.next()).revision);
    const ids = [await start(), await start(), await start()];
    for (const _ of ids) revisions.push((await first.next()).revision);
    expect(new Set(revisions).size).toBe(4);
    for (const [index, sinceRevision] of revisions.entries()) {
      const { next, told, leave } = watcher(manager, { sinceRevision });
      expect(await next()).toEqual({ type: "resumed", revision: sinceRevision });
      const missed = ids.slice(index).map((id) => `${id} running`);
      expect(await told(missed.length)).toEqual(missed);
      expect(await leave()).toBe(revisions.at(-1));
    }
  });

  test("is told of what left its filter, and was removed, after it had gone", async () => {
    const { manager, start, end } = await setUp();
    const filter = { statuses: ["running"] as const, labels: { label: "a" } };
    const [a, b, other] = [await start(), await start(), await start("b")];
    const before = watcher(manager, filter);
    await before.told();
    const sinceRevision = await before.leave();
    for (const id of [a, b, other]) await end(id);
    await manager.remove(a);
    await manager.remove(other);
    // Came and went meanwhile.
    await end(await start());
    const d = await start();
    const { told } = watcher(manager, { ...filter, sinceRevision });
    expect(await told(4)).toEqual(["resumed", `${b} completed`, `${a} removed`, `${d} running`]);
  });

  test("gets a snapshot where it is not known what it missed", async () => {
    const { machine, manager, start } = await setUp();
    const a = await start();
    const before = watcher(manager);
    await before.told();
    const sinceRevision = await before.leave();
    const snapshot = [`snapshot ${a} running`];
    const number = Number(sinceRevision.split(".").at(-1));
    const useless = [
      "",
      "x",
      sinceRevision.slice(0, -1),
      `${sinceRevision}x`,
      sinceRevision.replace(/\d+$/, String(number + 1)),
      sinceRevision.replace(/\d+$/, "-1"),
      sinceRevision.replace(/\d+$/, "9".repeat(400)),
    ];
    for (const sinceRevision of useless) {
      expect(await watcher(manager, { sinceRevision }).told(), sinceRevision).toEqual(snapshot);
    }
    // It was told by another filter, so it has not seen what this one lets through.
    const other = { statuses: ["running"], labels: { label: "a" } } as const;
    expect(await watcher(manager, { ...other, sinceRevision }).told()).toEqual(snapshot);
    const next = await machine.open({ pollIntervalMs: 60_000 });
    onTestFinished(() => next.close());
    expect(await watcher(next, { sinceRevision }).told()).toEqual(snapshot);
    expect(await watcher(manager, { sinceRevision }).told()).toEqual(["resumed"]);
  });

  test("the same filter in other words is the same", async () => {
    const { manager } = await setUp();
    const before = watcher(manager, {
      statuses: ["failed", "running"],
      labels: { a: "1", b: "2" },
    });
    await before.told();
    const sinceRevision = await before.leave();
    const filter = {
      statuses: ["running", "failed", "failed"],
      labels: { b: "2", a: "1" },
    } as const;
    expect(await watcher(manager, { ...filter, sinceRevision }).told()).toEqual(["resumed"]);
  });
});

test("more removals than are remembered: a snapshot, for who comes back and for who is slow", async () => {
  const { manager, start, end } = await setUp({ keptRemovals: 2 });
  const stays = await start();
  const gone: string[] = [];
  for (let n = 0; n < 50; n += 1) gone.push(await start());
  const slow = watcher(manager);
  const left = watcher(manager);
  await slow.told();
  await left.told();
  const sinceRevision = await left.leave();
  for (const id of gone) await end(id);
  for (const id of gone) await manager.remove(id);
  const snapshot = [`snapshot ${stays} running`];
  expect(await slow.told()).toEqual(snapshot);
  expect(await watcher(manager, { sinceRevision }).told()).toEqual(snapshot);
  await end(stays);
  expect(await slow.told()).toEqual([`${stays} completed`]);
});

describe("what running jobs write", () => {
  test("is a change, told once however much was written", async () => {
    const { machine, manager, start, end } = await setUp({ pollIntervalMs: 5 });
    const [a, quiet] = [await start(), await start()];
    const { next, told } = watcher(manager);
    await next();
    for (let n = 0; n < 10; n += 1) machine.write(a, 1);
    expect(await next()).toMatchObject({
      type: "changed",
      job: { id: a, status: "running", stdoutBytes: 10, progress: { current: 10 } },
    });
    await end(quiet);
    expect(await told()).toEqual([`${quiet} completed`]);
  });

  test("is not told again to one who has seen it in the snapshot", async () => {
    const { machine, manager, start, end } = await setUp();
    const [a, b] = [await start(), await start()];
    machine.write(a, 5);
    const { next, told } = watcher(manager);
    expect(await next()).toMatchObject({ jobs: [{ id: b }, { id: a, stdoutBytes: 5 }] });
    await end(b);
    expect(await told()).toEqual([`${b} completed`]);
  });

  test("is told to who comes back, also where nobody watched meanwhile", async () => {
    const { machine, manager, start } = await setUp();
    const a = await start();
    const before = watcher(manager);
    await before.told();
    const sinceRevision = await before.leave();
    machine.write(a, 5);
    const { next, told } = watcher(manager, { sinceRevision });
    expect(await told()).toEqual(["resumed"]);
    expect(await next()).toMatchObject({ type: "changed", job: { id: a, stdoutBytes: 5 } });
  });

  test("is looked at while somebody watches, and not when nobody does", async () => {
    const { machine, manager, start } = await setUp({ pollIntervalMs: 1 });
    await start();
    const before = machine.looks;
    const rest = () => new Promise((resolve) => setTimeout(resolve, 30));
    await rest();
    expect(machine.looks).toBe(before);
    const { told, leave } = watcher(manager);
    await told();
    await eventually("looks", () => machine.looks > before + 5);
    await leave();
    await new Promise(setImmediate);
    const after = machine.looks;
    await rest();
    expect(machine.looks).toBe(after);
  });
});

test("ends with the reason it was told to, before the first event and while it waits", async () => {
  const { manager } = await setUp();
  const stop = new AbortController();
  const events = manager.watchJobs({ signal: stop.signal })[Symbol.asyncIterator]();
  await events.next();
  const next = events.next();
  const enough = new Error("enough");
  stop.abort(enough);
  await expect(next).rejects.toBe(enough);
  const late = manager.watchJobs({ signal: stop.signal })[Symbol.asyncIterator]();
  await expect(late.next()).rejects.toBe(enough);
});

test("tells nothing once it was told to end, whatever there is to tell: it may be another process's by then", async () => {
  const { manager, start, end } = await setUp();
  const ids = [await start(), await start()];
  const events = manager.watchJobs({})[Symbol.asyncIterator]();
  await events.next();
  for (const id of ids) await end(id);
  expect((await events.next()).value).toMatchObject({ type: "changed" });
  await manager.close();
  await expect(events.next()).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
});

test("the usage of running jobs is told where it is asked for, once it has changed", async () => {
  const { machine, manager, start, end } = await setUp({ pollIntervalMs: 20 });
  const [a, b] = [await start(), await start()];
  const ended = await start();
  await end(ended);
  machine.usages.set(a, { cpuTimeMs: 1 });
  const { next } = watcher(manager, { statuses: ["running"], includeUsage: true });
  const snapshot = await next();
  const told = snapshot.type === "snapshot" ? snapshot.jobs : [];
  expect(told.map(({ id, usage }) => [id, usage?.cpuTimeMs])).toEqual([
    [b, undefined],
    [a, 1],
  ]);
  // What is known once is told once more; then there is nothing to tell.
  const first = [await next(), await next()];
  const ids = first.map((event) => (event.type === "changed" ? event.job.id : event.type));
  expect(ids.sort()).toEqual([a, b].sort());
  machine.usages.set(b, { cpuTimeMs: 5 });
  const change = await next();
  expect(change).toMatchObject({ type: "changed", job: { id: b, usage: { cpuTimeMs: 5 } } });
  // It is no place in the order of the changes.
  expect(change.revision).toBe(snapshot.revision);
  await end(b);
  expect(await next()).toMatchObject({ type: "changed", job: { id: b, status: "completed" } });
});

test("nobody measures jobs whose usage nobody asks for", async () => {
  const { machine, manager, start, end } = await setUp({ pollIntervalMs: 5 });
  const a = await start();
  const { told } = watcher(manager);
  expect(await told()).toEqual([`snapshot ${a} running`]);
  machine.write(a, 1);
  expect(await told()).toEqual([`${a} running`]);
  await end(a);
  expect(await told()).toEqual([`${a} completed`]);
  await manager.list();
  expect(machine.measurements).toBe(0);
});
