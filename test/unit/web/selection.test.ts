import { signal } from "@preact/signals-core";
import { expect, test } from "vitest";
import type { Job } from "../../../src/contract/job.js";
import { Selection } from "../../../src/web/state/selection.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

const procman = new FakeProcman();
const all = ["a", "b", "c", "d"].map((id) => procman.addJob(id));

function select() {
  const rows = signal<readonly Job[]>(all);
  return { rows, selection: new Selection(rows) };
}

const idsOf = (jobs: readonly Job[]) => jobs.map(({ id }) => id).join("");

test("the keyboard's row moves, and stays with its job when others come and go", () => {
  const { rows, selection } = select();
  expect(selection.activeIndex.value).toBe(-1);
  expect(selection.move(1)).toBe(0);
  expect(selection.move(2)).toBe(2);
  expect(selection.move(Infinity)).toBe(3);
  expect(selection.move(1)).toBe(3);
  expect(selection.move(-1)).toBe(2);
  rows.value = all.slice(1);
  expect(selection.activeIndex.value).toBe(1);
  expect(selection.active?.id).toBe("c");
  rows.value = all.slice(0, 2);
  expect(selection.activeIndex.value).toBe(-1);
  expect(selection.move(-1)).toBe(1);
});

test("where the keyboard is at no row yet, it comes in from the end that it leaves", () => {
  expect(select().selection.move(Infinity)).toBe(3);
  expect(select().selection.move(-Infinity)).toBe(0);
  expect(select().selection.move(-1)).toBe(3);
});

test("what an action is for: the marked jobs that are shown, or else the keyboard's", () => {
  const { rows, selection } = select();
  expect(selection.target).toEqual([]);
  selection.activate("b");
  expect(idsOf(selection.target)).toBe("b");
  selection.toggle("a");
  selection.extendTo("c");
  expect(idsOf(selection.target)).toBe("abc");
  selection.toggle("b");
  expect(idsOf(selection.target)).toBe("ac");
  // Nothing is done to a job that nobody sees.
  rows.value = all.slice(1);
  expect(idsOf(selection.target)).toBe("c");
  selection.toggleAll();
  expect(idsOf(selection.target)).toBe("bcd");
  selection.toggleAll();
  selection.clear();
  expect(idsOf(selection.target)).toBe("b");
});
