import { Command } from "commander";
import { defined } from "../../platform/defined.js";
import type { CommandContext } from "./command-context.js";
import { type JsonOption, parseDurationMs } from "./options.js";

interface CancelOptions extends JsonOption {
  readonly grace?: number;
}

const HELP = `
The job gets SIGTERM, and after the grace period SIGKILL, with everything that it
has started. cancel returns when it has ended.

Examples:
  procman cancel k3x
  procman cancel --grace 1m k3x
  procman cancel --grace 0 k3x       at once, by force`;

export function cancelCommand(context: CommandContext): Command {
  return new Command("cancel")
    .description("end jobs: politely, then by force")
    .argument("<id...>", "ids of jobs, or their beginnings")
    .option("-g, --grace <duration>", "time to end by itself (default: 5s)", parseDurationMs)
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], options: CancelOptions) =>
      context.forEachJob(given, async (client, id) => {
        const job = await client.cancel(id, defined({ gracePeriodMs: options.grace }));
        await context.printJob(job, options);
      }),
    );
}
