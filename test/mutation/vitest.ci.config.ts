import { defineConfig } from "vitest/config";
import all from "./vitest.config.js";

/** The tests that test the modules of stryker.ci.config.js by themselves. */
const MODULES = [
  "contract/is-match",
  "core/job-changes",
  "core/page-token",
  "core/same-request",
  "core/start-requests",
  "core/status",
  "core/transitions",
  "core/validate",
];

export default defineConfig({
  ...all,
  test: { ...all.test, include: MODULES.map((name) => `test/unit/${name}.test.ts`) },
});
