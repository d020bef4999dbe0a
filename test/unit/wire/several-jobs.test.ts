import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CancelJobsResponseSchema } from "../../../gen/procman/v1/procman_pb.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { JobResult } from "../../../src/contract/procman.js";
import {
  decodeCancelJobs,
  decodeResults,
  encodeCancelJobs,
  encodeResults,
} from "../../../src/wire/several-jobs.js";
import { endedJob } from "../client/some-job.js";

function sent(results: readonly JobResult[]) {
  const all = { results, doneSize: results.length, failedSize: 0 };
  const message = create(CancelJobsResponseSchema, encodeResults(all));
  return { ...decodeResults(message), bytes: toBinary(CancelJobsResponseSchema, message).length };
}

test("an answer has as many jobs as fit, then only their ids, and then no more results", () => {
  const done = (n: number): JobResult => {
    const id = `job${String(n).padStart(9, "0")}`;
    return { type: "done", id, job: endedJob({ id, args: ["x".repeat(200)] }) };
  };
  for (const count of [1, 100, 1000, 10_000, 50_000]) {
    const all = Array.from({ length: count }, (_, n) => done(n));
    const { results, doneSize, bytes } = sent(all);
    expect(doneSize).toBe(count);
    expect(bytes).toBeLessThan(1024 * 1024);
    const whole = results.filter((result) => result.type === "done" && result.job);
    expect(results.slice(0, whole.length)).toEqual(whole);
    expect(results.map(({ id }) => id)).toEqual(all.slice(0, results.length).map(({ id }) => id));
    if (count <= 100) expect(whole).toHaveLength(count);
    if (count <= 10_000) expect(results).toHaveLength(count);
    else expect(results.length).toBeGreaterThan(10_000);
  }
});

test("long texts are cut, and the ids of callers are what they are", () => {
  const id = "é".repeat(10_000);
  const error = new ProcmanError("JOB_NOT_FOUND", `no job ${id}`);
  const failed = Array.from({ length: 2000 }, (): JobResult => ({ type: "failed", id, error }));
  const { results, bytes } = sent(failed);
  expect(bytes).toBeLessThan(1024 * 1024);
  expect(results.length).toBeGreaterThan(500);
  expect(results[0]).toMatchObject({ type: "failed", error: { reason: "JOB_NOT_FOUND" } });
  expect(results[0]?.id).toBe(`${"é".repeat(127)}…`);
});

test("a request that selects nothing is passed on as that", () => {
  const request = create(CancelJobsResponseSchema, {});
  expect(decodeCancelJobs({ ...request, selection: undefined } as never)).toEqual({
    selection: {},
    options: {},
  });
  expect(() => encodeCancelJobs({ statuses: ["done" as never] }, {})).toThrow(
    /^selection.statuses: "done" is none of pending/,
  );
});
