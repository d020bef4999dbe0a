import fc from "fast-check";
import { expect, test } from "vitest";
import { isMatch, type JobFilter } from "../../../src/contract/procman.js";
import { type EndedJob, endedAgoMs, EndedJobs } from "../../../src/core/ended-jobs.js";

const STATUSES = ["completed", "failed", "cancelled", "orphaned"] as const;

function someJob(sequence: number, status: EndedJob["status"], queue: string): EndedJob {
  const labels: Record<string, string> = queue === "" ? {} : { queue };
  // Joined without care, with a value of another label's it would be the same.
  if (sequence % 2 === 0) labels["queuea"] = sequence % 4 === 0 ? "" : "b";
  const id = `job${sequence}`;
  const job = { id, sequence, requestId: "", status, labels, completedMs: 0, seenEndMs: undefined };
  return sequence % 3 === 0 ? { ...job, name: `name${sequence % 2}` } : job;
}

const status = fc.constantFrom(...STATUSES);
const queue = fc.constantFrom("", "a", "b");
const both = { queue: "a", queuea: "b" };
const filter: fc.Arbitrary<JobFilter> = fc.record({
  statuses: fc.subarray([...STATUSES]),
  labels: fc.constantFrom({}, { queue: "a" }, { queue: "c" }, { queuea: "" }, both),
  name: fc.constantFrom("", "", "name0", "name1", "name2"),
});

test("whatever was added and deleted, in any order: what is found is what a plain list has", () => {
  const added = fc.uniqueArray(fc.tuple(fc.nat(500), status, queue), {
    selector: ([sequence]) => sequence,
    minLength: 0,
    maxLength: 300,
    size: "max",
  });
  const share = fc.constantFrom(0, 0.3, 1);
  fc.assert(
    fc.property(
      added,
      share,
      filter,
      fc.nat(600),
      fc.boolean(),
      (wanted, deletedShare, filter, before, isAskedEarly) => {
        const jobs = new EndedJobs();
        const all = wanted.map(([sequence, status, queue]) => someJob(sequence, status, queue));
        for (const job of all) jobs.add(job);
        // From then on it is indexed by labels.
        if (isAskedEarly) jobs.count(filter);
        const deleted = all.slice(0, Math.floor(all.length * deletedShare));
        for (const job of deleted) expect(jobs.delete(job.id)).toBe(job);
        for (const job of deleted) expect(jobs.delete(job.id)).toBeUndefined();
        const again = deleted.slice(0, 5);
        for (const job of again) jobs.add(job);

        const left = [...again, ...all.slice(deleted.length)];
        const matching = left.filter((job) => isMatch(job, filter));
        const page = matching.filter(({ sequence }) => sequence < before);
        expect([...jobs.newestFirst(filter, before)]).toEqual(
          page.toSorted((a, b) => b.sequence - a.sequence),
        );
        expect(jobs.count(filter)).toBe(matching.length);
        expect(jobs.size).toBe(left.length);
        expect(new Set(jobs.values())).toEqual(new Set(left));
        for (const job of left) expect(jobs.get(job.id)).toBe(job);
        for (const name of ["name0", "name1", "name2"]) {
          const [newest] = left
            .filter((job) => job.name === name)
            .toSorted((a, b) => b.sequence - a.sequence);
          expect(jobs.newestNamed(name)).toBe(newest);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("a job is no older than this process has seen it ended", () => {
  const anHourAgo = { ...someJob(1, "failed", ""), completedMs: Date.now() - 3_600_000 };
  expect(endedAgoMs(anHourAgo)).toBeGreaterThanOrEqual(3_600_000);
  const seen = { ...anHourAgo, seenEndMs: performance.now() - 1000 };
  expect(endedAgoMs(seen)).toBeGreaterThanOrEqual(1000);
  expect(endedAgoMs(seen)).toBeLessThan(3_600_000);
  expect(endedAgoMs({ ...anHourAgo, completedMs: Date.now() + 3_600_000 })).toBe(0);
});
