import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Scratch } from "../scratch.js";
import { type Contender, NotInstalled } from "./contender.js";
import { findProgram, runMeasuringProgram, runProgram, runToCleanUp } from "./programs.js";

const VERSION = "7.0.4";
const PROGRAM = fileURLToPath(new URL("pm2-program.js", import.meta.url));

/**
 * pm2, by its API. It is installed for the time of the benchmark, with a daemon of
 * its own that keeps state in memory.
 * @throws NotInstalled where npm cannot install it
 */
export async function pm2(scratch: Scratch): Promise<Contender> {
  const dir = scratch.dir();
  const home = join(dir, "home");
  console.log(`installing pm2 ${VERSION} for the time of the benchmark`);
  const options = ["--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
  try {
    await runProgram(scratch, [findProgram("npm"), "install", ...options, `pm2@${VERSION}`]);
  } catch (error) {
    throw new NotInstalled(`npm cannot install pm2: ${(error as Error).message.split("\n")[0]}`);
  }
  const env = { PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: "true" };
  const cli = join(dir, "node_modules/pm2/bin/pm2");
  scratch.defer(() => {
    // Without one, this would start a daemon to end it.
    if (existsSync(home)) runToCleanUp([process.execPath, cli, "kill"], { env });
  });
  return {
    name: "pm2: start",
    run: (order) => {
      const program = [process.execPath, PROGRAM, dir, JSON.stringify(order)];
      return runMeasuringProgram(scratch, program, { env });
    },
  };
}
