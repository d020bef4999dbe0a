import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import { type Addition, InputSenders } from "../../../src/engine/local/input/input-senders.js";
import { tempDir } from "../../helpers/temp-dir.js";

/** A job's input, of which nobody reads here. */
async function openInput() {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path);
  writeFileSync(dir.input, "");
  const log: FileHandle = await open(dir.input, "r");
  onTestFinished(() => log.close());
  /** What there is of the piece's bytes at the end: all, unless a crash or a full disk cut it. */
  const add = async (addition: Addition, writtenBytes = addition.dataBytes + addition.endBytes) => {
    await (await InputSenders.read(dir, log)).expect(addition);
    appendFileSync(dir.input, "x".repeat(writtenBytes));
  };
  return { dir, add, read: () => InputSenders.read(dir, log) };
}

const piece = (sender: string, dataBytes: number, endBytes = 0): Addition => ({
  sender,
  dataBytes,
  endBytes,
});

test("before anything was sent nobody has sent anything", async () => {
  const senders = await (await openInput()).read();
  expect(senders.acceptedOf("a")).toBe(0);
  expect(senders).toMatchObject({ logBytes: 0, hasEnd: false });
});

test("what each has sent is told apart", async () => {
  const { add, read } = await openInput();
  await add(piece("a", 3));
  await add(piece("", 5));
  await add(piece("a", 10));
  const senders = await read();
  expect([senders.acceptedOf("a"), senders.acceptedOf(""), senders.acceptedOf("b")]).toEqual([
    13, 5, 0,
  ]);
  expect(senders.logBytes).toBe(18);
});

test("of a piece that was cut short what is there was taken", async () => {
  const { add, read } = await openInput();
  await add(piece("a", 3));
  await add(piece("a", 10), 4);
  expect((await read()).acceptedOf("a")).toBe(7);
  await add(piece("b", 10), 0);
  const senders = await read();
  expect([senders.acceptedOf("a"), senders.acceptedOf("b")]).toEqual([7, 0]);
  await add(piece("a", 1));
  expect((await read()).acceptedOf("a")).toBe(8);
});

test("what ends a terminal's input is none of the sender's bytes, and counts once it is whole", async () => {
  const { add, read } = await openInput();
  await add(piece("a", 3, 2), 4);
  expect(await read()).toMatchObject({ hasEnd: false });
  expect((await read()).acceptedOf("a")).toBe(3);
  await add(piece("a", 0, 2));
  expect(await read()).toMatchObject({ hasEnd: true });
  expect((await read()).acceptedOf("a")).toBe(3);
  await add(piece("a", 1));
  expect(await read()).toMatchObject({ hasEnd: false });
});

test("of very many senders those are forgotten that were not heard of for longest", async () => {
  const { add, read } = await openInput();
  for (let n = 0; n < 64; n += 1) await add(piece(`s${n}`, 1));
  await add(piece("s0", 1));
  await add(piece("new", 1));
  const senders = await read();
  expect(["s0", "s1", "s2", "new"].map((sender) => senders.acceptedOf(sender))).toEqual([
    2, 0, 1, 1,
  ]);
});

test("nobody else can read who has sent what", async () => {
  const { dir, add } = await openInput();
  await add(piece("a", 3));
  expect(statSync(dir.inputSenders).mode & 0o777).toBe(0o600);
  expect(existsSync(`${dir.inputSenders}.tmp`)).toBe(false);
});

test("a file that is cut short anywhere is no error", async () => {
  const { dir, add, read } = await openInput();
  await add(piece("a", 3));
  const whole = readFileSync(dir.inputSenders, "utf8");
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(dir.inputSenders, whole.slice(0, length));
    expect([0, 3]).toContain((await read()).acceptedOf("a"));
  }
});
