import { expect, test } from "vitest";
import { isMatch, type JobFilter } from "../../../src/contract/procman.js";

const job = { status: "running", labels: { team: "a", tier: "web" }, name: "db" } as const;

test.each<[JobFilter, boolean]>([
  [{}, true],
  [{ statuses: [], labels: {} }, true],
  [{ statuses: ["running"] }, true],
  [{ statuses: ["failed", "running"] }, true],
  [{ statuses: ["failed"] }, false],
  [{ labels: { team: "a" } }, true],
  [{ labels: { team: "a", tier: "web" } }, true],
  [{ labels: { team: "a", tier: "db" } }, false],
  [{ labels: { team: "" } }, false],
  [{ labels: { zone: "" } }, false],
  [{ statuses: ["running"], labels: { team: "b" } }, false],
  [{ statuses: ["failed"], labels: { team: "a" } }, false],
  [{ name: "" }, true],
  [{ name: "db" }, true],
  [{ name: "d" }, false],
  [{ name: "db", statuses: ["failed"] }, false],
])("%o: %s", (filter, matches) => {
  expect(isMatch(job, filter)).toBe(matches);
});

test("a label is a job's own, whatever objects inherit", () => {
  const inherited = Object.create({ team: "a" }) as Record<string, string>;
  expect(isMatch({ status: "running", labels: inherited }, { labels: { team: "a" } })).toBe(false);
});
