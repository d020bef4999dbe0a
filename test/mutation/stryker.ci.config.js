import all from "./stryker.config.js";

/**
 * The part of mutation testing that is quick: modules of logic alone, against
 * their own tests. Fails where less than nine in ten changes are noticed.
 *
 * @type {import("@stryker-mutator/api/core").PartialStrykerOptions}
 */
export default {
  ...all,
  vitest: { configFile: "test/mutation/vitest.ci.config.ts" },
  mutate: [
    "src/contract/procman.ts",
    "src/core/{job-changes,page-token,start-requests,transitions,validate}.ts",
  ],
  // A change to what a module has from its beginning needs all tests: too slow here.
  ignoreStatic: true,
  reporters: ["clear-text"],
  thresholds: { high: 95, low: 90, break: 90 },
};
