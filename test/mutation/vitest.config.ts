import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** The fast unit tests: what the mutants are run against. */
export default defineConfig({
  resolve: { alias: { "fast-check": fileURLToPath(new URL("fast-check.ts", import.meta.url)) } },
  test: {
    include: [
      "test/unit/{contract,core,logs,platform,storage,wire}/**/*.test.ts",
      "test/unit/engine/{input-senders,process-table-*,runner-records,split-environment}.test.ts",
    ],
    exclude: ["test/unit/core/*.property.test.ts"],
    testTimeout: 30_000,
  },
});
