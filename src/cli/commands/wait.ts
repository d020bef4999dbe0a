import { Command, Option } from "commander";
import { isTerminal, type Stream, STREAMS } from "../../contract/job.js";
import { choices } from "../choice-option.js";
import { type CommandContext, withClient } from "./command-context.js";
import { parseDurationMs } from "./options.js";
import { jobExitCode } from "../format/job-exit-code.js";
import { type JsonOption, printJob } from "../format/print-job.js";
import { resolveJobId } from "./find-jobs.js";
import type { StateDirOption } from "../state-dir.js";
import { sayWhatCame, waitUntil, type WaitUntilOptions } from "../wait-until.js";
import { parseWholeNumber } from "../whole-number-option.js";

interface WaitOptions extends StateDirOption, JsonOption, WaitUntilOptions {
  readonly timeout?: number;
}

const HELP = `
Exits as the job did, with 124 when the timeout passed first, and with 125 when
the job's exit code is not known.

With --for-output or --for-port it waits for that, prints the line or the port,
and exits with 0. Where the job ends first it exits as the job did, but with 1
instead of 0; with 124 and 125 as above. Patterns have RE2's syntax and are
looked for anywhere in a line, from the beginning of the output or the offsets.

Examples:
  procman wait k3x && echo done
  procman wait --timeout 10m k3x
  procman wait --timeout 0 k3x                        124: it still runs
  procman wait --for-output 'ready in \\d+ ms' --timeout 1m k3x
  procman wait --for-output '^ERROR' --stream stderr --timeout 0 k3x
  procman wait --for-port 3000 k3x && open http://localhost:3000
  port=$(procman wait --for-port 0 k3x)               whichever it is`;

/** Waits until a job has ended, or something else has come. */
export function waitCommand(context: CommandContext): Command {
  const { cli, exit } = context;
  return new Command("wait")
    .description("wait until a job has ended, and exit as it did; or for a line, or a port")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("-t, --timeout <duration>", "wait no longer than this", parseDurationMs)
    .addOption(
      new Option("--for-output <pattern>", "wait for a line that matches").conflicts("forPort"),
    )
    .option("--for-port <port>", "wait for a TCP port; 0: any", parseWholeNumber)
    .option<readonly Stream[]>("--stream <stream>", "only stdout or stderr", choices(STREAMS))
    .option("--stdout-offset <byte>", "nothing of stdout before this byte", parseWholeNumber)
    .option("--stderr-offset <byte>", "nothing of stderr before this byte", parseWholeNumber)
    .option("--json", "print the job, or with --for-… the job and what came, as a JSON object")
    .addHelpText("after", HELP)
    .action(async (given: string, options: WaitOptions) => {
      const { timeout, stateDir } = options;
      const until = waitUntil(options);
      await withClient(context, stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        const waited = await client.wait(id, {
          ...(timeout === undefined ? {} : { timeoutMs: timeout }),
          ...(until ? { until } : {}),
        });
        if (until) return exit(await sayWhatCame(waited, until, options, cli));
        await printJob(waited, options, cli);
        if (!isTerminal(waited)) await cli.stderr.line(`procman: job ${id} has not ended yet`);
        exit(jobExitCode(waited));
      });
    });
}
