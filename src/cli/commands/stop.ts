import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { hasCode } from "../../platform/errno.js";
import { requireOwnStateDir } from "../ensure-server.js";
import { CliError, EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";

const STOP_TIMEOUT_MS = 30_000;
/** Its exit follows at once. A zombie, which nobody reaps, is not waited for. */
const EXIT_TIMEOUT_MS = 2000;
const POLL_INTERVAL_MS = 20;

const HELP = `
The jobs go on, and the next server takes them over. To end a job, use
"procman cancel".

Example:
  procman stop`;

export function stopCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  return new Command("stop")
    .description("end the server; the jobs go on")
    .argument("[id...]")
    .usage("[options]")
    .addHelpText("after", HELP)
    .action(async (ids: string[]) => {
      if (ids.length > 0) throw takesNoId(ids.join(" "));
      const { stateDir } = context;
      requireOwnStateDir(stateDir);
      const { managerPid } = await import("../../manager-pid.js");
      const pid = await managerPid(stateDir);
      if (pid === undefined) return stdout.line(`no server runs for ${stateDir}`);
      terminate(pid);
      const hasLeft = async () => (await managerPid(stateDir)) !== pid;
      if (!(await becomesTrue(hasLeft, STOP_TIMEOUT_MS))) {
        throw new CliError(`the server (pid ${pid}) did not end in ${STOP_TIMEOUT_MS / 1000} s`);
      }
      await becomesTrue(async () => !exists(pid), EXIT_TIMEOUT_MS);
      await stdout.line(`stopped the server (pid ${pid}) of ${stateDir}; jobs go on`);
    });
}

function takesNoId(ids: string): CliError {
  const message = `"stop" ends the server, and no job. To end ${ids}: procman cancel ${ids}`;
  return new CliError(message, { exitCode: EXIT.usage });
}

function terminate(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch (cause) {
    if (hasCode(cause, "ESRCH")) return;
    const { message } = cause as Error;
    throw new CliError(`cannot stop the server (pid ${pid}): ${message}`, { cause });
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

async function becomesTrue(condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_INTERVAL_MS);
  }
  return true;
}
