import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "./temp-dir.js";
import type { TestServerOptions } from "./test-server.js";

const USER = 65_534;

/** For root alone: a server of an ordinary user's, whom modes keep out. */
export function asOrdinaryUser(): TestServerOptions {
  const dir = tempDir();
  const stateDir = join(dir, "state");
  mkdirSync(stateDir, { mode: 0o700 });
  for (const path of [dir, stateDir]) chownSync(path, USER, USER);
  const wrapper = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
  return { stateDir, wrapper };
}
