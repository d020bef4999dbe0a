import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import { parseDurationMs } from "./options.js";
import { eachJob } from "../each-job.js";
import { type JsonOption, printJob } from "../format/print-job.js";
import type { StateDirOption } from "../state-dir.js";

interface CancelOptions extends StateDirOption, JsonOption {
  readonly grace?: number;
}

const HELP = `
The job gets SIGTERM, and after the grace period SIGKILL, with everything that it
has started. cancel returns when it has ended.

Examples:
  procman cancel k3x
  procman cancel --grace 1m k3x
  procman cancel --grace 0 k3x       at once, by force`;

/** Ends jobs. */
export function cancelCommand(context: CommandContext): Command {
  return new Command("cancel")
    .description("end jobs: politely, then by force")
    .argument("<id...>", "ids of jobs, or their beginnings")
    .option("-g, --grace <duration>", "time to end by itself (default: 5s)", parseDurationMs)
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action(async (ids: string[], options: CancelOptions) => {
      const { grace, stateDir } = options;
      await eachJob(context, stateDir, ids, async (client, id) => {
        const job = await client.cancel(id, grace === undefined ? {} : { gracePeriodMs: grace });
        await printJob(job, options, context.cli);
      });
    });
}
