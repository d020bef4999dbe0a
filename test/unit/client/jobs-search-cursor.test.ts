import { expect, test } from "vitest";
import { JobsSearchCursor } from "../../../src/client/jobs-search-cursor.js";
import type { JobsEvent, OutputLine } from "../../../src/contract/procman.js";
import { endedJob, runningJob } from "./some-job.js";

const revision = "r";
const at = (second: number) => new Date(`2026-01-01T00:00:0${second}Z`);
const position = (id: string, stdoutOffset: number, stderrOffset = 0) => ({
  id,
  stdoutOffset,
  stderrOffset,
});
const searched = (id: string, stdoutOffset: number, complete: boolean): JobsEvent => ({
  type: "searched",
  revision,
  complete,
  ...position(id, stdoutOffset),
});
const line = (nextOffset: number, stream: OutputLine["stream"]): OutputLine => {
  return { stream, text: "x", offset: 0, nextOffset, terminator: "lf" };
};

function cursorAfterSnapshot() {
  const cursor = new JobsSearchCursor({ pattern: "x" });
  const jobs = [
    endedJob({ id: "newest", createdTime: at(3), stdoutBytes: 4 }),
    runningJob({ id: "runs", createdTime: at(2), stdoutBytes: 10, stderrBytes: 5 }),
    endedJob({ id: "ended", createdTime: at(1) }),
  ];
  cursor.take({ type: "snapshot", revision, jobs });
  return cursor;
}

test("before the first snapshot it asks for what the caller has asked for", () => {
  const asked = { pattern: "x", streams: ["stdout"] } as const;
  expect(new JobsSearchCursor(asked).request).toEqual(asked);
});

test("a search begins where the snapshot says, and goes on from what was told last", () => {
  const cursor = cursorAfterSnapshot();
  expect(cursor.request).toEqual({
    pattern: "x",
    // One that is no older than the newest job would count as new.
    positions: [position("newest", 4), position("runs", 10, 5)],
    newestCreatedTime: at(3),
  });
  cursor.take({ type: "line", revision, id: "runs", line: line(20, "stdout") });
  cursor.take({ type: "line", revision, id: "runs", line: line(7, "stderr") });
  expect(cursor.request.positions).toContainEqual(position("runs", 20, 7));
  cursor.take(searched("runs", 30, false));
  expect(cursor.request.positions).toContainEqual(position("runs", 30));
  cursor.take(searched("runs", 31, true));
  cursor.take({ type: "removed", revision, id: "newest" });
  expect(cursor.request).toMatchObject({ positions: [], newestCreatedTime: at(3) });
});

test("a job that comes later is searched from its beginning, once", () => {
  const cursor = cursorAfterSnapshot();
  const later = runningJob({ id: "later", createdTime: at(4), stdoutBytes: 9 });
  cursor.take({ type: "changed", revision, job: later });
  expect(cursor.request.newestCreatedTime).toEqual(at(4));
  expect(cursor.request.positions).toContainEqual(position("later", 0));
  cursor.take({ type: "line", revision, id: "later", line: line(3, "stdout") });
  cursor.take({ type: "changed", revision, job: later });
  expect(cursor.request.positions).toContainEqual(position("later", 3));
  cursor.take({ type: "resumed", revision });
  cursor.take(searched("nobody", 3, false));
  expect(cursor.request.positions).toHaveLength(2);
});

test("of a further snapshot the jobs are new that are no older than the newest one", () => {
  const cursor = cursorAfterSnapshot();
  const jobs = [
    endedJob({ id: "short", createdTime: at(4), stdoutBytes: 5 }),
    endedJob({ id: "ended", createdTime: at(1), stdoutBytes: 5 }),
    runningJob({ id: "runs", createdTime: at(2), stdoutBytes: 50 }),
  ];
  cursor.take({ type: "snapshot", revision, jobs });
  const { positions } = cursor.request;
  expect(positions).toEqual([position("runs", 10, 5), position("short", 0)]);
});

test("it takes over what the caller has of an earlier call", () => {
  const asked = { pattern: "x", positions: [position("a", 5)], newestCreatedTime: at(1) };
  const cursor = new JobsSearchCursor(asked);
  expect(cursor.request).toEqual(asked);
  cursor.take({ type: "changed", revision, job: runningJob({ id: "a", createdTime: at(1) }) });
  expect(cursor.request).toEqual(asked);
});
