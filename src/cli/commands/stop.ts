import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { CliError } from "../cli-error.js";
import type { CommandContext } from "./command-context.js";
import { hasCode } from "../../platform/errno.js";
import type { StateDirOption } from "../state-dir.js";

const CEILING_MS = 30_000;
/** Its exit follows at once; one that nobody reaps stays a zombie, and is not waited for. */
const EXIT_CEILING_MS = 2000;
const POLL_MS = 20;

const HELP = `
Jobs go on; the next server takes them over.

Example:
  procman stop`;

/** Ends the state directory's server. */
export function stopCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  return new Command("stop")
    .description("end the server; jobs go on without it")
    .addHelpText("after", HELP)
    .action(async (options: StateDirOption) => {
      const stateDir = context.stateDir(options.stateDir);
      const { managerPid } = await import("../../manager.js");
      const pid = await managerPid(stateDir);
      if (pid === undefined) return stdout.line(`no server runs for ${stateDir}`);
      terminate(pid);
      const hasLeft = async () => (await managerPid(stateDir)) !== pid;
      if (!(await within(CEILING_MS, hasLeft))) {
        throw new CliError(`the server (pid ${pid}) did not end in ${CEILING_MS / 1000} s`);
      }
      await within(EXIT_CEILING_MS, async () => !exists(pid));
      await stdout.line(`stopped the server (pid ${pid}) of ${stateDir}; jobs go on`);
    });
}

function terminate(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch (cause) {
    if (hasCode(cause, "ESRCH")) return;
    throw new CliError(`cannot stop the server (pid ${pid}): ${(cause as Error).message}`, {
      cause,
    });
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function within(ceilingMs: number, condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + ceilingMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}
