import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { processIdentifier } from "../../../src/engine/local/process/processes.js";
import {
  lockOwner,
  lockStateDir,
  type ProcessIdentifier,
} from "../../../src/storage/state-dir-lock.js";
import { eventually } from "../../helpers/eventually.js";
import { startTimeOf, stranger, zombie } from "../../helpers/strangers.js";
import { tempDir } from "../../helpers/temp-dir.js";

/** Holders with lives of their own. */
function holder(name: string, alive: Set<string>): ProcessIdentifier {
  alive.add(name);
  return { self: () => name, isAlive: (identity) => alive.has(identity) };
}

test("a second one is refused, and told the first one's pid", async () => {
  const dir = tempDir();
  const lock = await lockStateDir(dir, processIdentifier);
  await expect(lockStateDir(dir, processIdentifier)).rejects.toThrow(
    `already served by process ${process.pid}`,
  );
  expect(await lockOwner(dir, processIdentifier)).toBe(process.pid);
  await lock.release();
  expect(await lockOwner(dir, processIdentifier)).toBeUndefined();
  await (await lockStateDir(dir, processIdentifier)).release();
});

test("the lock of a dead holder is taken over", async () => {
  const dir = tempDir();
  const alive = new Set<string>();
  await lockStateDir(dir, holder("first", alive));
  alive.delete("first");
  await lockStateDir(dir, holder("second", alive));
  await expect(lockStateDir(dir, holder("third", alive))).rejects.toThrow("already served");
});

test("of many that find a dead holder at once, one gets it", async () => {
  const dir = tempDir();
  for (let round = 0; round < 20; round += 1) {
    const alive = new Set<string>();
    const attempts = Array.from({ length: 8 }, (_, n) =>
      lockStateDir(dir, holder(`${round}.${n}`, alive)),
    );
    const results = await Promise.allSettled(attempts);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  }
  // Nothing piles up: the newest lock is all there is.
  expect(readdirSync(dir)).toHaveLength(1);
});

test("one that was slow does not get a number that others have used and left", async () => {
  const dir = tempDir();
  const alive = new Set<string>(["third"]);
  writeFileSync(join(dir, "lock.1"), "1\nfirst\n");
  const slow: ProcessIdentifier = {
    self: () => "slow",
    isAlive: (identity) => {
      // While it looks at the first one: a second takes over and dies, then a third does.
      if (identity === "first") {
        writeFileSync(join(dir, "lock.3"), "3\nthird\n");
        rmSync(join(dir, "lock.1"));
      }
      return alive.has(identity);
    },
  };
  await expect(lockStateDir(dir, slow)).rejects.toThrow("already served by process 3");
  expect(readdirSync(dir)).toEqual(["lock.3"]);
});

test("one whose directory was deleted does not release its successor's lock", async () => {
  const dir = tempDir();
  const alive = new Set<string>();
  const first = await lockStateDir(dir, holder("first", alive));
  for (const name of readdirSync(dir)) rmSync(join(dir, name));
  await lockStateDir(dir, holder("second", alive));
  await first.release();
  await expect(lockStateDir(dir, holder("third", alive))).rejects.toThrow("already served");
});

test("one whose file was deleted is made again, unless another process has the lock by now", async () => {
  const dir = tempDir();
  const alive = new Set<string>();
  const first = await lockStateDir(dir, holder("first", alive));
  expect(await first.renew()).toBe(false);
  rmSync(join(dir, "lock.1"));
  expect(await first.renew()).toBe(true);
  await expect(lockStateDir(dir, holder("second", alive))).rejects.toThrow("already served");
  rmSync(join(dir, "lock.1"));
  const second = await lockStateDir(dir, holder("second", alive));
  await expect(first.renew()).rejects.toThrow("already served");
  await second.release();
  await first.release();
});

test("a copy of a directory is not locked by the original's holder", async () => {
  const dir = tempDir();
  const original = await lockStateDir(dir, processIdentifier);
  const copy = join(tempDir(), "copy");
  cpSync(dir, copy, { recursive: true });
  expect(readdirSync(copy)).toEqual(["lock.1"]);
  expect(await lockOwner(copy, processIdentifier)).toBeUndefined();
  const lock = await lockStateDir(copy, processIdentifier);
  expect(await lockOwner(copy, processIdentifier)).toBe(process.pid);
  await lock.release();
  await original.release();
});

test("says whether the directory is there, was moved, or deleted", async () => {
  const dir = join(tempDir(), "dir");
  mkdirSync(dir);
  const lock = await lockStateDir(dir, processIdentifier);
  expect(lock.directory()).toBe("there");
  renameSync(dir, `${dir}.moved`);
  expect(lock.directory()).toBe("away");
  mkdirSync(dir);
  expect(lock.directory()).toBe("away");
  rmSync(`${dir}.moved`, { recursive: true });
  expect(lock.directory()).toBe("deleted");
  await lock.release();
});

test.skipIf(process.platform !== "linux")(
  "a holder whose lock file was deleted is waited for, where the kernel knows of it",
  async () => {
    const dir = tempDir();
    mkdirSync(join(dir, "jobs"));
    const alive = new Set<string>();
    const first = await lockStateDir(dir, holder("first", alive));
    await first.holdByKernel();
    rmSync(join(dir, "lock.1"));
    const second = lockStateDir(dir, holder("second", alive));
    await eventually("the second one to wait", async () => !existsSync(join(dir, "lock.1")));
    expect(await first.renew()).toBe(true);
    await expect(second).rejects.toThrow("already served by process");
    await first.release();
    await (await lockStateDir(dir, holder("third", alive))).release();
  },
);

const [BOOT, PID, START_TIME] = JSON.parse(processIdentifier.self()) as [string, number, string];

/** This process's lock file, but for what is changed of its boot, pid and start time. */
function lockFile({ boot = BOOT, pid = PID, startTime = START_TIME } = {}): string {
  return `${pid}\n${JSON.stringify([boot, pid, startTime])}\n`;
}

async function ownerBy(content: string): Promise<number | undefined> {
  const dir = tempDir();
  writeFileSync(join(dir, "lock.7"), content);
  const owner = await lockOwner(dir, processIdentifier);
  const taking = lockStateDir(dir, processIdentifier);
  if (owner === undefined) await (await taking).release();
  else await expect(taking).rejects.toThrow(`already served by process ${owner}`);
  return owner;
}

test("a process is named by its boot, its pid and its start time", async () => {
  expect(lockFile()).toBe(`${process.pid}\n${processIdentifier.self()}\n`);
  expect(await ownerBy(lockFile())).toBe(process.pid);
});

test.each([
  ["that started at another time", { startTime: "1" }],
  ["of another boot", { boot: "00000000-0000-4000-8000-000000000000" }],
  ["of another pid", { pid: process.ppid }],
])("a process %s is another one", async (_, changed) => {
  expect(await ownerBy(lockFile(changed))).toBeUndefined();
});

test.skipIf(process.platform !== "linux")(
  "a holder that has ended and is a zombie holds nothing",
  async () => {
    const { pid, stat } = await zombie();
    expect(await ownerBy(lockFile({ pid, startTime: String(startTimeOf(stat)) }))).toBeUndefined();
    const other = await stranger();
    const startTime = String(startTimeOf(other.stat));
    expect(await ownerBy(lockFile({ pid: other.pid, startTime }))).toBe(other.pid);
  },
);

test("a lock file cut short at any byte names nobody", async () => {
  const whole = lockFile();
  // The last byte is a newline after the identity.
  const dir = tempDir();
  for (let length = 0; length < whole.length - 1; length += 1) {
    writeFileSync(join(dir, "lock.7"), whole.slice(0, length));
    expect(await lockOwner(dir, processIdentifier), `${length} bytes`).toBeUndefined();
  }
  await (await lockStateDir(dir, processIdentifier)).release();
});
