import { expect, test } from "vitest";
import { InputState } from "../../../src/web/state/input-state.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function open() {
  const procman = new FakeProcman();
  procman.addJob("job1", { stdin: true });
  return { procman, input: new InputState(procman, "job1") };
}

const sent = (procman: FakeProcman) => procman.inputOf("job1").toString();

test("keys arrive in their order, those that were typed meanwhile together", async () => {
  const { procman, input } = open();
  for (const key of "hello") input.type(key);
  await eventually("the keys", () => sent(procman) === "hello");
  input.type("!");
  await eventually("the last key", () => sent(procman) === "hello!");
  expect(procman.calls.length).toBeLessThan(6);
  expect(procman.lastCall("sendInput")[1]).toMatchObject({ offset: 5 });
});

test("long texts go in pieces, and the input is closed after them", async () => {
  const { procman, input } = open();
  await input.send("x".repeat(200_000));
  expect(sent(procman)).toHaveLength(200_000);
  await input.close();
  expect(procman.lastCall("sendInput")[1]).toMatchObject({ close: true });
  expect(input.isClosed.value).toBe(true);
});

test("what a send fails with is told, until one works", async () => {
  const { procman, input } = open();
  procman.failure = new Error("no");
  await input.send("a");
  expect(input.error.value?.message).toBe("no");
  await input.send("b");
  expect(input.error.value).toBeUndefined();
  expect(sent(procman)).toBe("b");
});

test("a terminal gets the last of many sizes, and none where there is no terminal", async () => {
  const { procman, input } = open();
  input.resize({ rows: 1, columns: 2 });
  input.setTerminal({ rows: 10, columns: 20 });
  input.resize({ rows: 30, columns: 40 });
  await eventually("the size", () => procman.calls.some(({ method }) => method === "resizeWindow"));
  expect(procman.lastCall("resizeWindow")[1]).toEqual({ rows: 30, columns: 40 });
  expect(procman.calls).toHaveLength(1);
});
