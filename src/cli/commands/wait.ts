import { Command } from "commander";
import { isTerminal } from "../../core/job.js";
import { type CommandContext, withClient } from "../command-context.js";
import { parseDurationMs } from "../duration-option.js";
import { jobExitCode } from "../job-exit-code.js";
import { type JsonOption, printJob } from "../print-job.js";
import { resolveJobId } from "../resolve-job-id.js";
import type { StateDirOption } from "../state-dir.js";

interface WaitOptions extends StateDirOption, JsonOption {
  readonly timeout?: number;
}

const HELP = `
Exits as the job did, with 124 when the timeout passed first, and with 125 when
the job's exit code is not known.

Examples:
  procman wait k3x && echo done
  procman wait --timeout 10m k3x
  procman wait --timeout 0 k3x       124: it still runs`;

/** Waits until a job has ended. */
export function waitCommand(context: CommandContext): Command {
  const { cli, exit } = context;
  return new Command("wait")
    .description("wait until a job has ended, and exit as it did")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("-t, --timeout <duration>", "wait no longer than this", parseDurationMs)
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action(async (given: string, options: WaitOptions) => {
      const { timeout, stateDir } = options;
      await withClient(context, stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        const job = await client.wait(id, timeout === undefined ? {} : { timeoutMs: timeout });
        await printJob(job, options, cli);
        if (!isTerminal(job)) await cli.stderr.line(`procman: job ${id} has not ended yet`);
        exit(jobExitCode(job));
      });
    });
}
