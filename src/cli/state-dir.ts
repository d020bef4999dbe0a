import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { Cli } from "./cli.js";

export interface StateDirOption {
  readonly stateDir?: string;
}

export function addStateDirOption(command: Command): Command {
  return command.option(
    "--state-dir <dir>",
    "where everything is kept (default: $PROCMAN_STATE_DIR, else ~/.cache/procman)",
  );
}

/** Absolute; by the option, else the environment, else the default. */
export function stateDirOf(option: string | undefined, cli: Pick<Cli, "env" | "workDir">): string {
  const given = option || cli.env["PROCMAN_STATE_DIR"];
  if (!given) return join(homedir(), ".cache", "procman");
  return given.startsWith("/") ? resolve(given) : resolve(cli.workDir(), given);
}
