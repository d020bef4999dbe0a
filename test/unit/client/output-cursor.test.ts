import { expect, test } from "vitest";
import { OutputCursor } from "../../../src/client/output-cursor.js";

const never = () => Promise.reject(new Error("not to be asked"));

test("without a tail, each stream goes on after what came of it", async () => {
  const cursor = new OutputCursor({ stdoutOffset: 5, streams: [] });
  expect(await cursor.start(never)).toEqual({ streams: [], stdoutOffset: 5, stderrOffset: 0 });
  cursor.opened({ stdoutBytes: 100, stderrBytes: 100 });
  cursor.advance("stderr", 30);
  expect(await cursor.start(never)).toEqual({ streams: [], stdoutOffset: 5, stderrOffset: 30 });
});

test("a tail is asked for until the first connection is open", async () => {
  const asked = { tailLines: 3, stderrOffset: 2 };
  const cursor = new OutputCursor(asked);
  expect(await cursor.start(never)).toEqual(asked);
  expect(await cursor.start(never)).toEqual(asked);
});

test("after a tail of nothing, what is new since the opening comes", async () => {
  const cursor = new OutputCursor({ tailLines: 0 });
  cursor.opened({ stdoutBytes: 10, stderrBytes: 20 });
  expect(await cursor.start(never)).toMatchObject({ stdoutOffset: 10, stderrOffset: 20 });
  // A later opening does not move it.
  cursor.opened({ stdoutBytes: 1000, stderrBytes: 1000 });
  expect(await cursor.start(never)).toMatchObject({ stdoutOffset: 10, stderrOffset: 20 });
});

test("a stream of which nothing came yet is still given its tail, if that is old enough", async () => {
  const cursor = new OutputCursor({ tailLines: 3 });
  cursor.opened({ stdoutBytes: 100, stderrBytes: 100 });
  cursor.advance("stdout", 90);
  const located: string[] = [];
  const start = await cursor.start(async (stream) => {
    located.push(stream);
    return 70;
  });
  expect(start).toMatchObject({ stdoutOffset: 90, stderrOffset: 70 });
  expect(located).toEqual(["stderr"]);
  // It is decided once.
  expect(await cursor.start(never)).toMatchObject({ stdoutOffset: 90, stderrOffset: 70 });
});

test("a tail that begins later than the opening leaves nothing new out", async () => {
  const cursor = new OutputCursor({ tailLines: 3 });
  cursor.opened({ stdoutBytes: 100, stderrBytes: 0 });
  const start = await cursor.start(async () => 150);
  expect(start).toMatchObject({ stdoutOffset: 100, stderrOffset: 0 });
});

test("a stream that was not asked for is not looked at", async () => {
  const cursor = new OutputCursor({ tailLines: 3, streams: ["stdout"] });
  cursor.opened({ stdoutBytes: 100, stderrBytes: 100 });
  cursor.advance("stdout", 100);
  expect(await cursor.start(never)).toMatchObject({ streams: ["stdout"], stdoutOffset: 100 });
});
