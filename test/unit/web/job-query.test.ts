import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Job, STATUSES } from "../../../src/contract/job.js";
import {
  countStatuses,
  DEFAULT_QUERY,
  formatQuery,
  type JobQuery,
  parseQuery,
  selectJobs,
  SORT_KEYS,
} from "../../../src/web/state/job-query.js";
import { formatRoute, parseRoute } from "../../../src/web/state/route.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

const procman = new FakeProcman();
const time = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds));
const ended = { completedTime: time(60), startedTime: time(0) };

const jobs: readonly Job[] = [
  procman.addJob("aaa", { createdTime: time(1), name: "web", labels: { app: "site" } }),
  procman.addJob("bbb", {
    createdTime: time(2),
    command: "make",
    args: ["-j8", "all"],
    status: "failed",
    exitCode: 2,
    ...ended,
  }),
  procman.addJob("ccc", {
    createdTime: time(3),
    labels: { app: "site", stage: "a=b" },
    progress: { percent: 40, unit: "", text: "" },
    startedTime: time(50),
  }),
  procman.addJob("ddd", {
    createdTime: time(4),
    status: "completed",
    exitCode: 0,
    ...ended,
  }),
];

const select = (query: Partial<JobQuery>) =>
  selectJobs(
    jobs,
    { ...DEFAULT_QUERY, ...query },
    {
      nowMs: time(70).getTime(),
      cpuShare: ({ id }) => (id === "bbb" ? 0.5 : undefined),
    },
  )
    .map(({ id }) => id)
    .join(" ");

describe("the jobs that are shown", () => {
  test.each<[Partial<JobQuery>, string]>([
    [{}, "ddd ccc bbb aaa"],
    [{ text: "MAKE all" }, "bbb"],
    [{ text: "web" }, "aaa"],
    [{ text: "app=site" }, "ccc aaa"],
    [{ text: "nothing such" }, ""],
    [{ statuses: ["failed", "completed"] }, "ddd bbb"],
    [{ labels: ["app=site"] }, "ccc aaa"],
    [{ labels: ["app=site", "stage=a=b"] }, "ccc"],
    [{ labels: ["constructor="] }, ""],
    [{ sort: "created", descending: false }, "aaa bbb ccc ddd"],
    [{ sort: "name", descending: false }, "bbb ddd ccc aaa"],
    [{ sort: "exit", descending: true }, "bbb ddd ccc aaa"],
    [{ sort: "progress", descending: true }, "ccc ddd bbb aaa"],
    [{ sort: "cpu", descending: true }, "bbb ddd ccc aaa"],
    [{ sort: "status", descending: false }, "ccc aaa ddd bbb"],
  ])("by %j", (query, ids) => {
    expect(select(query)).toBe(ids);
  });

  test("are counted by status, whatever status is asked for", () => {
    const query: JobQuery = { ...DEFAULT_QUERY, labels: ["app=site"], statuses: ["failed"] };
    const { all, of } = countStatuses(jobs, query);
    expect(all).toBe(2);
    expect(of).toMatchObject({ running: 2, failed: 0 });
  });
});

describe("the address", () => {
  const query = fc.record({
    text: fc.string(),
    statuses: fc.subarray([...STATUSES]),
    labels: fc.array(fc.string()),
    sort: fc.constantFrom(...SORT_KEYS),
    descending: fc.boolean(),
  });

  test("has all of the query", () => {
    fc.assert(
      fc.property(query, (query) => {
        expect(parseQuery(new URLSearchParams(formatQuery(query).toString()))).toEqual(query);
      }),
    );
  });

  test.each(["?", "?q=a&status=running", "?job=abc", "?like=abc", "?start="])(
    "%s stays so",
    (search) => {
      expect(formatRoute(parseRoute(search))).toBe(search);
    },
  );

  test("does no harm with what is not known", () => {
    expect(parseRoute("?sort=evil&status=nonesuch&x=y")).toEqual({ query: DEFAULT_QUERY });
  });
});
