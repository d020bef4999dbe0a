import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { EndedJob } from "../../../src/core/ended-jobs.js";
import { EndedJobsFile, type NotedJob } from "../../../src/storage/ended-jobs-file.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";

function noted(sequence: number, changes: Partial<EndedJob> = {}): NotedJob {
  const job: EndedJob = {
    id: `job${sequence}`,
    sequence,
    requestId: `r${sequence}`,
    status: "completed",
    labels: { "kléy ": 'a "value"\n' },
    completedMs: 1_700_000_000_000 + sequence,
    seenEndMs: undefined,
    ...changes,
  };
  return { job, stamp: { ino: 2 ** 40 + sequence, size: 700, ctimeMs: 1_700_000_000_123.25 } };
}

const pathOfFile = () => join(tempDir(), "ended-jobs");

async function write(path: string, ...jobs: readonly NotedJob[]): Promise<void> {
  const file = new EndedJobsFile(path);
  await file.load();
  for (const job of jobs) file.add(job);
  await file.close();
}

async function read(path: string): Promise<NotedJob[]> {
  return [...(await new EndedJobsFile(path).load()).values()];
}

test("what was noted is loaded by the next, with what was noted before", async () => {
  const path = pathOfFile();
  expect(await read(path)).toEqual([]);
  await write(path, noted(1), noted(2, { status: "orphaned", requestId: "" }));
  await write(path, noted(3));
  expect(await read(path)).toEqual([
    noted(1),
    noted(2, { status: "orphaned", requestId: "" }),
    noted(3),
  ]);
});

test("of two lines of one job the later one counts", async () => {
  const path = pathOfFile();
  await write(path, noted(1), noted(1, { status: "failed" }));
  expect(await read(path)).toEqual([noted(1, { status: "failed" })]);
});

test("a job is on the file a moment later, without a close", async () => {
  const path = pathOfFile();
  const file = new EndedJobsFile(path);
  for (let n = 1; n <= 100; n += 1) file.add(noted(n));
  expect(await read(path)).toHaveLength(100);
  file.add(noted(101));
  await eventually("its line", async () => (await read(path)).length === 101);
  await file.close();
  file.add(noted(102));
  expect(await read(path)).toHaveLength(101);
});

describe("a file that is damaged", () => {
  test("by a cut at any byte: the whole lines count, and those that come later", async () => {
    const whole = pathOfFile();
    await write(whole, noted(1), noted(2));
    const bytes = readFileSync(whole);
    const path = pathOfFile();
    for (let length = 0; length <= bytes.length; length += 1) {
      writeFileSync(path, bytes.subarray(0, length));
      const left = await read(path);
      expect([noted(1), noted(2)].slice(0, left.length)).toEqual(left);
      await write(path, noted(3));
      expect(await read(path)).toEqual([...left, noted(3)]);
    }
  });

  test("in any byte: no line says what was not noted", async () => {
    const path = pathOfFile();
    await write(path, noted(1), noted(2));
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at += 1) {
      for (const byte of [0, 0x0a, (bytes[at] as number) ^ 1]) {
        const damaged = Buffer.from(bytes);
        damaged[at] = byte;
        writeFileSync(path, damaged);
        for (const job of await read(path)) expect([noted(1), noted(2)]).toContainEqual(job);
      }
    }
  });

  test("by zeros and by something else's text: nothing is taken from there", async () => {
    const path = pathOfFile();
    await write(path, noted(1));
    appendFileSync(path, `${"\0".repeat(5000)}\n\n[]\nx [1]\n{"a": 1}`);
    await write(path, noted(2));
    expect(await read(path)).toEqual([noted(1), noted(2)]);
  });

  test("in that it cannot be read or written: there are no notes", async () => {
    const path = pathOfFile();
    mkdirSync(path);
    await write(path, noted(1));
    expect(await read(path)).toEqual([]);
  });
});

test("a job's name is noted, and that it has none", async () => {
  const path = pathOfFile();
  await write(path, noted(1, { name: "web" }), noted(2));
  const [named, other] = await read(path);
  expect(named).toEqual(noted(1, { name: "web" }));
  expect(other?.job).not.toHaveProperty("name");
});

describe("the lines of a version that knew no names", () => {
  // As that version wrote them, checksum and all.
  const LINES = [
    '\n3f2rgp ["job1",1,"completed",1700000000001,"r1",{},1099511627777,700,1700000000123.25]\n',
    '\n13qzme4 ["job2",2,"failed",1700000000002,"",{},1099511627778,700,1700000000123.25]\n',
  ];

  test("do not count: the jobs may have names", async () => {
    const path = pathOfFile();
    writeFileSync(path, LINES.join(""));
    await write(path, noted(1, { name: "web" }));
    expect(await read(path)).toEqual([noted(1, { name: "web" })]);
  });

  test("go when they are many", async () => {
    const path = pathOfFile();
    writeFileSync(path, LINES.join("").repeat(5001));
    await write(path, noted(1));
    const file = new EndedJobsFile(path);
    await file.load();
    file.keepOnly(new Set(["job1"]));
    await eventually("the lines to go", () => readFileSync(path, "utf8").length < 1000);
    await file.close();
    expect(await read(path)).toEqual([noted(1)]);
  });
});

test("a status of a newer version is left to the record", async () => {
  const path = pathOfFile();
  await write(path, noted(1, { status: "paused" as EndedJob["status"] }), noted(2));
  expect(await read(path)).toEqual([noted(2)]);
});

describe("the lines of removed jobs", () => {
  const MANY = 10_000;
  const many = Array.from({ length: MANY }, (_, index) => noted(index));

  test("are kept while they are few", async () => {
    const path = pathOfFile();
    await write(path, noted(1), noted(2));
    const file = new EndedJobsFile(path);
    await file.load();
    file.remove("job1");
    await file.close();
    expect(await read(path)).toHaveLength(2);
  });

  test("go when they are many, with nothing lost that is noted meanwhile", async () => {
    const path = pathOfFile();
    await write(path, noted(MANY + 1), ...many);
    const file = new EndedJobsFile(path);
    await file.load();
    for (const { job } of many) file.remove(job.id);
    file.add(noted(MANY + 2));
    await eventually("the lines to go", async () => (await read(path)).length < MANY);
    await file.close();
    expect(await read(path)).toEqual([noted(MANY + 1), noted(MANY + 2)]);
    expect(existsSync(`${path}.tmp`)).toBe(false);
  });

  test("go at a start, and a close in the midst of it leaves them", async () => {
    const path = pathOfFile();
    await write(path, ...many, noted(MANY));
    const closed = new EndedJobsFile(path);
    await closed.load();
    closed.keepOnly(new Set([`job${MANY}`]));
    await closed.close();
    expect(existsSync(`${path}.tmp`)).toBe(false);
    const file = new EndedJobsFile(path);
    await file.load();
    file.keepOnly(new Set([`job${MANY}`]));
    await eventually("the lines to go", async () => (await read(path)).length === 1);
    await file.close();
    expect(await read(path)).toEqual([noted(MANY)]);
  });
});
