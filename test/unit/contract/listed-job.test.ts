import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { JobSchema } from "../../../gen/procman/v1/procman_pb.js";
import { jobsWithin, listedJob } from "../../../src/contract/listed-job.js";
import { encodeJob } from "../../../src/wire/job.js";
import { anyJob, runningJob } from "../client/some-job.js";

const encodedBytes = (job: Parameters<typeof encodeJob>[0]) =>
  toBinary(JobSchema, create(JobSchema, encodeJob(job))).length;

test("a job with nothing long is told as it is", () => {
  const job = runningJob({ args: ["a".repeat(10_000)], labels: { a: "b" } });
  expect(listedJob(job)).toBe(job);
});

test.each([
  ["one long argument", ["-c", "x".repeat(100_000), "end"]],
  ["many short ones", Array.from({ length: 200_000 }, String)],
  ["many empty ones", Array.from({ length: 200_000 }, () => "")],
  ["characters of several bytes", ["é€😀".repeat(10_000)]],
])("%s: the beginning is told, and that it is one", (_name, args) => {
  const { args: kept, truncatedFields } = listedJob(runningJob({ args }));
  expect(truncatedFields).toEqual(["args"]);
  const last = kept.length - 1;
  expect(kept.slice(0, last)).toEqual(args.slice(0, last));
  expect(args[last]).toSatisfy((arg: string) => arg.startsWith(kept[last] as string));
  expect(kept.join("")).not.toMatch(/\p{Surrogate}/u);
  expect(encodedBytes(runningJob({ args: kept }))).toBeLessThan(17_000);
});

test("variables and labels are kept whole or not at all", () => {
  const env = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`NAME_${n}`, ""]));
  const labels = { long: "x".repeat(70_000), short: "y" };
  const job = listedJob(runningJob({ env, labels }));
  expect(job.truncatedFields).toEqual(["env", "labels"]);
  expect(job.labels).toEqual({ short: "y" });
  expect(Object.keys(env).slice(0, Object.keys(job.env).length)).toEqual(Object.keys(job.env));
  expect(encodedBytes({ ...job, labels: {} })).toBeLessThan(25_000);
});

test("so many jobs are taken as fit, and one in any case", () => {
  const large = listedJob(runningJob({ args: ["x".repeat(50_000)] }));
  const jobs = Array.from({ length: 100 }, () => large);
  const taken = jobsWithin(jobs, 1_000_000);
  expect(taken.length).toBeGreaterThan(50);
  expect(taken.length * encodedBytes(large)).toBeLessThan(1_000_000);
  expect(jobsWithin(jobs, 10)).toHaveLength(1);
  expect(jobsWithin([], 10)).toEqual([]);
});

test("no job takes more than it is estimated at, so far as it is listed", () => {
  fc.assert(
    fc.property(anyJob, (job) => {
      const bytes = encodedBytes(job);
      // Two such jobs fit only where the estimate of both is within the limit.
      expect(jobsWithin([job, job], 2 * bytes - 1)).toHaveLength(1);
    }),
    { numRuns: 200 },
  );
});
