import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { PACKAGE_SCRIPTS_DIR } from "../../src/engine/local/runner/job-scripts.js";
import { NATIVE_RUNNER } from "../../src/engine/local/runner/native-runner.js";
import { BUILT_NATIVE_RUNNER } from "./native-runner.js";
import { tempDir } from "./temp-dir.js";

/** What runs jobs in a package: the scripts alone, or a native runner too. */
export type RunnerPackage = "shell" | "native";

/** A copy of it, gone when the test is over. */
export function runnerPackage(which: RunnerPackage): string {
  const dir = tempDir();
  for (const name of readdirSync(PACKAGE_SCRIPTS_DIR)) {
    if (name.endsWith(".sh")) cpSync(join(PACKAGE_SCRIPTS_DIR, name), join(dir, name));
  }
  if (which === "native") addNativeRunner(dir);
  return dir;
}

export function addNativeRunner(dir: string): void {
  cpSync(BUILT_NATIVE_RUNNER, join(dir, NATIVE_RUNNER));
}
