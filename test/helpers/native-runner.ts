import { existsSync } from "node:fs";
import { join } from "node:path";
import { NATIVE_RUNNER } from "../../src/engine/local/runner/native-runner.js";
import { lacks } from "./machine.js";

/** Where `npm run build` has the native runner. */
export const BUILT_NATIVE_RUNNER = join(
  import.meta.dirname,
  "../../dist/src/engine/local",
  NATIVE_RUNNER,
);

/** Whether there is one: it needs Linux and, in the build, a C compiler. */
export function hasNativeRunner(): boolean {
  if (process.platform !== "linux") return false;
  return existsSync(BUILT_NATIVE_RUNNER) || lacks(`${NATIVE_RUNNER}, which the build makes`);
}
