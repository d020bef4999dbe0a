import { expect, test } from "vitest";
import { TestServer } from "../helpers/test-server.js";
import { logLimitRun } from "./log-limit-run.js";

// `npm run log-limit-test` sets these for the long run.
const bytes = Number(process.env["PROCMAN_TEST_LOG_BYTES"] ?? 200e6);
const limitBytes = Number(process.env["PROCMAN_TEST_LOG_LIMIT_BYTES"] ?? 10e6);

test.skipIf(process.platform !== "linux")(
  `${bytes / 1e6} MB as fast as can be through a limit of ${limitBytes / 1e6} MB, followed all the while`,
  { timeout: 120_000 + bytes / 10_000 },
  async () => {
    const server = await TestServer.start();
    const report = await logLimitRun(server, { bytes, limitBytes });
    console.log(JSON.stringify(report, (_key, value: unknown) => rounded(value), 2));
    // How far a writer gets ahead of a cut depends on the machine, and a short run may be one cut.
    if (bytes >= 10e9) expect(report.peakDiskMegabytes * 1e6).toBeLessThan(bytes / 4);
    expect(server.hasEnded).toBe(false);
  },
);

function rounded(value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 10) / 10 : value;
}
