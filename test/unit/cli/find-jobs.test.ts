import { expect, test } from "vitest";
import { resolveJobId } from "../../../src/cli/commands/find-jobs.js";
import { PagedProcman } from "./fake-cli.js";

function procmanWith(...ids: string[]): PagedProcman {
  const procman = new PagedProcman();
  for (const id of ids) procman.addJob(id);
  return procman;
}

test("an id is itself, also where another one begins with it", async () => {
  const procman = procmanWith("abc", "abcdef");
  expect(await resolveJobId(procman, "abc")).toBe("abc");
  // It was not necessary to look through all jobs.
  expect(procman.calls.map(({ method }) => method)).toEqual(["get"]);
});

test("the only id that begins so, on whichever page it is", async () => {
  const many = Array.from({ length: 450 }, (_, n) => `job${n}`);
  expect(await resolveJobId(procmanWith("wanted", ...many), "wan")).toBe("wanted");
});

test("candidates are listed, not all of very many", async () => {
  await expect(resolveJobId(procmanWith("ab1", "ab2", "x"), "ab")).rejects.toThrow(
    "ab is ambiguous: it can be ab2, ab1; give more of the id",
  );
  const many = Array.from({ length: 30 }, (_, n) => `job${n}`);
  await expect(resolveJobId(procmanWith(...many), "job")).rejects.toThrow("and 20 more");
});

test("no job, and no id", async () => {
  await expect(resolveJobId(procmanWith("abc"), "b")).rejects.toMatchObject({
    reason: "JOB_NOT_FOUND",
  });
  await expect(resolveJobId(procmanWith("abc"), "")).rejects.toMatchObject({ exitCode: 2 });
});

test("an error of another kind is not taken for a missing job", async () => {
  const procman = procmanWith("abc");
  procman.failure = new Error("broken");
  await expect(resolveJobId(procman, "a")).rejects.toThrow("broken");
});
