import type { Procman } from "../contract/procman.js";
import { type CommandContext, withClient } from "./commands/command-context.js";
import { EXIT } from "./exit-codes.js";
import { printable } from "./format/printable.js";
import { resolveJobId } from "./commands/find-jobs.js";

/**
 * Does the same with several jobs, one after another. One that fails does not
 * keep the others from it; each failure is a line on stderr.
 */
export async function eachJob(
  context: CommandContext,
  stateDir: string | undefined,
  ids: readonly string[],
  act: (client: Procman, id: string) => Promise<void>,
): Promise<void> {
  const { cli, exit } = context;
  const [first, ...rest] = ids;
  await withClient(context, stateDir, async (client) => {
    const actOn = async (given: string) => act(client, await resolveJobId(client, given));
    // With one the error speaks for itself, and has an exit code of its own.
    if (first !== undefined && rest.length === 0) return actOn(first);
    for (const given of ids) {
      try {
        await actOn(given);
      } catch (error) {
        if (!(error instanceof Error) || error.name === "OutputClosed") throw error;
        await cli.stderr.line(`procman: ${printable(error.message)}`);
        exit(EXIT.error);
      }
    }
  });
}
