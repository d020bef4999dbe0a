import { Command } from "commander";
import { type CommandContext, withClient } from "./command-context.js";
import { type JsonOption, printJob } from "../format/print-job.js";
import { resolveJobId } from "./find-jobs.js";
import type { StateDirOption } from "../state-dir.js";

const HELP = `
To end a job, use "procman cancel": it knows then that this was asked for.

Examples:
  procman signal k3x HUP
  procman signal k3x SIGUSR1`;

/** Sends a signal to a job's process group. */
export function signalCommand(context: CommandContext): Command {
  return new Command("signal")
    .description("send a signal to a job's process group")
    .argument("<id>", "the job's id, or the beginning of it")
    .argument("<signal>", "the signal's name, with or without SIG")
    .option("--json", "print the job as a JSON object")
    .addHelpText("after", HELP)
    .action(async (given: string, signal: string, options: StateDirOption & JsonOption) => {
      await withClient(context, options.stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        const job = await client.signal(id, signal);
        await printJob(job, options, context.cli);
      });
    });
}
