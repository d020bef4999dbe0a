import { expect, test } from "vitest";
import { TestServer } from "../helpers/test-server.js";
import { loadRun } from "./load-run.js";

// `npm run load-test` sets these for the long run.
const jobs = Number(process.env["PROCMAN_TEST_LOAD_JOBS"] ?? 60);
const followers = Number(process.env["PROCMAN_TEST_LOAD_FOLLOWERS"] ?? 20);
const seconds = Number(process.env["PROCMAN_TEST_LOAD_SECONDS"] ?? 4);

test.skipIf(process.platform !== "linux")(
  `${jobs} jobs at once and ${followers} followers for ${seconds} s: every exit is told of, nothing is kept`,
  { timeout: 120_000 + seconds * 1500 + jobs * 100 },
  async () => {
    const server = await TestServer.start();
    const report = await loadRun(server, { jobs, followers, seconds });
    console.log(JSON.stringify(report, (_key, value: unknown) => rounded(value), 2));
    expect(report.exits).toBeGreaterThanOrEqual(jobs);
    expect(report.descriptorsAfter).toBeLessThanOrEqual(report.descriptorsBefore);
    expect(server.hasEnded).toBe(false);
  },
);

function rounded(value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 100) / 100 : value;
}
