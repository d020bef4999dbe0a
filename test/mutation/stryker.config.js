import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Mutation testing: makes small wrong changes to the code, one at a time, and
 * counts those that the fast unit tests do not notice.
 *
 * `npm run mutation` takes the better part of an hour; a part of it is
 * `npm run mutation -- --mutate src/core/page-token.ts`. Not with
 * `--testFiles`: Stryker 9.6 then never activates changes to constants of a module.
 *
 * @type {import("@stryker-mutator/api/core").PartialStrykerOptions}
 */
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "test/mutation/vitest.config.ts" },
  coverageAnalysis: "perTest",
  mutate: [
    "src/{contract,core,logs,storage,wire}/**/*.ts",
    "src/engine/local/input/input-senders.ts",
    "src/engine/local/process/process-table-*.ts",
    "src/engine/local/runner/{runner-records,split-environment}.ts",
  ],
  ignorePatterns: [
    "/bench",
    "/dist",
    "/docs",
    "/examples",
    "/reports",
    "/test/{compat,fixtures}",
    // Stryker wants to rewrite it with an API that TypeScript 7 does not have.
    "/tsconfig*.json",
  ],
  concurrency: 2,
  // An endless loop is noticed by counting; this is for a machine that is busy.
  timeoutMS: 10_000,
  // Outside: linter and formatter take copies of their configuration amiss.
  tempDirName: join(tmpdir(), `procman-mutation-${process.pid}`),
  cleanTempDir: "always",
  reporters: ["clear-text", "html", "progress-append-only"],
  clearTextReporter: { reportTests: false, allowEmojis: false },
  htmlReporter: { fileName: "reports/mutation.html" },
};
