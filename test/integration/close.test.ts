import { readdirSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readExitRecord } from "../../src/engine/local/runner/runner-records.js";
import { blockUntil } from "../helpers/block-until.js";
import { TestManager } from "../helpers/test-manager.js";

/** What a job's own processes write. */
const OF_THE_JOB =
  /^(?:stdout\.log|stderr\.log|process|exit|ended|recorder|complaint|stdin\.(?:fifo|bell|feeder))$/;

/** Every other file and directory, with what changes when it is written, replaced or made anew. */
function snapshot(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !OF_THE_JOB.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => {
      const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
      // A job's own files change the times of its directory.
      const isDirectory = statSync(path).isDirectory();
      return isDirectory ? path : [path, ino, size, mtimeNs, ctimeNs].join(" ");
    })
    .sort();
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

/** As much time as whatever would be late takes: it is behind this in the queue of the threads. */
async function laterWork(): Promise<void> {
  for (let n = 0; n < 20; n += 1) {
    await turns(5);
    await Promise.all(Array.from({ length: 8 }, () => stat("/")));
  }
}

const LIMITED = { command: "sh", args: ["-c", "head -c 9000000 /dev/zero; exec sleep 1000"] };

/** Each prepares a job, and gives what is to be under way as the manager is closed. */
const OPERATIONS: Record<string, (at: TestManager) => Promise<() => Promise<unknown>>> = {
  start: async (at) => () => at.manager.start({ command: "true" }),

  remove: async (at) => {
    const { id } = await at.manager.start({ command: "true" });
    await at.manager.wait(id);
    return () => at.manager.remove(id);
  },

  cleanup: async (at) => {
    for (let n = 0; n < 3; n += 1) {
      const { id } = await at.manager.start({ command: "true" });
      await at.manager.wait(id);
    }
    return () => at.manager.cleanup({ olderThanMs: 0 });
  },

  cancel: async (at) => {
    const { id } = await at.manager.start({ command: "sleep", args: ["1000"] });
    return () => at.manager.cancel(id, { gracePeriodMs: 0 });
  },

  "cancel with grace": async (at) => {
    const { id } = await at.startReady("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    return () => at.manager.cancel(id, { gracePeriodMs: 60_000 });
  },

  sendInput: async (at) => {
    const { id } = await at.manager.start({ command: "sleep", args: ["1000"], stdin: true });
    const piece = { sender: "a", data: Buffer.alloc(300_000, "x") };
    return () =>
      Promise.allSettled([
        at.manager.sendInput(id, piece),
        at.manager.sendInput(id, piece),
        at.manager.sendInput(id, { ...piece, close: true }),
      ]);
  },

  "a sendInput that waits for room": async (at) => {
    const { id } = await at.manager.start({ command: "sleep", args: ["1000"], stdin: true });
    const data = Buffer.alloc(1_000_000, "x");
    for (let n = 0; n < 2; n += 1) await at.manager.sendInput(id, { data });
    return () => at.manager.sendInput(id, { data: Buffer.from("more") });
  },

  refresh: async (at) => {
    const { id } = await at.startReady("echo ready; until [ -e go ]; do :; done", {
      workDir: at.stateDir,
    });
    at.write("..", "go", "");
    return () => {
      const exit = join(at.stateDir, "jobs", id, "exit");
      blockUntil("the exit record", () => readExitRecord(exit) !== undefined);
      return at.manager.refresh();
    };
  },

  "the cut of a log": async (at) => {
    await at.manager.start({ ...LIMITED, logLimitBytes: 65_536 });
    return () => turns(20);
  },
};

test.skipIf(process.platform !== "linux").each(Object.keys(OPERATIONS))(
  "%s under way at the close changes no file after it",
  async (name) => {
    for (const turnsBefore of [0, 1, 3, 10]) {
      const at = await TestManager.open({ pollIntervalMs: 10 });
      const begin = await (
        OPERATIONS[name] as (at: TestManager) => Promise<() => Promise<unknown>>
      )(at);
      const call = begin().then(
        () => {},
        () => {},
      );
      await turns(turnsBefore);
      await at.close();
      const before = snapshot(at.stateDir);
      await call;
      await laterWork();
      expect(snapshot(at.stateDir), `closed after ${turnsBefore} turns`).toEqual(before);
    }
  },
);
