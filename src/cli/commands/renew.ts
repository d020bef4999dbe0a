import { Command } from "commander";
import { defined } from "../../platform/defined.js";
import { jobJson } from "../../wire/json.js";
import { printable } from "../format/printable.js";
import type { CommandContext } from "./command-context.js";
import { addJobsArgument, type LastOption } from "./job-argument.js";
import { type JsonOption, parsePositiveDurationMs } from "./options.js";

interface RenewOptions extends JsonOption, LastOption {
  readonly lease?: number;
}

const HELP = `
A job that was started by "procman run --lease 30s" ends when that time has passed since
its start, or since it was renewed last. Each line tells when it ends unless it is renewed
again.

Examples:
  procman renew k3x
  procman renew --lease 10m k3x
  while procman renew k3x; do sleep 10; done`;

export function renewCommand(context: CommandContext): Command {
  const { stdout } = context.cli;
  const description = "renew the leases of jobs, which end when nobody does so in time";
  return addJobsArgument(new Command("renew").description(description))
    .option(
      "--lease <duration>",
      "how long the lease is from now on (default: as before)",
      parsePositiveDurationMs,
    )
    .option("--json", "print each job as a JSON object")
    .addHelpText("after", HELP)
    .action((given: string[], options: RenewOptions) =>
      context.forEachJob(context.allWords(given), options, async (client, id) => {
        const job = await client.renewLease(id, defined({ leaseMs: options.lease }));
        const until = job.leaseExpireTime?.toISOString() ?? "";
        await stdout.line(options.json ? jobJson(job) : `${printable(job.id)} ${until}`);
      }),
    );
}
