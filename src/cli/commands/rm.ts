import { Command, Option } from "commander";
import { ignoreNotRunning, ProcmanError } from "../../contract/errors.js";
import type { Procman } from "../../contract/procman.js";
import { unreadableJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { CliError, EXIT } from "../exit-codes.js";
import { formatJobTable } from "../format/job-table.js";
import type { CommandContext } from "./command-context.js";
import { addSelection, type SelectionOptions, selectionOf } from "./job-argument.js";
import type { JsonOption } from "./options.js";

const HELP = `
--label, --status, --name and --all select jobs that have ended, and with -f all jobs.

Examples:
  procman rm k3x
  procman rm -f k3x                  first ends all its processes
  procman rm --label team=ml
  procman rm --status completed,cancelled
  procman rm --unreadable            lists the jobs whose records cannot be read
  procman rm --unreadable k3x9       removes one of them; its whole id is needed`;

interface RmOptions extends JsonOption, SelectionOptions {
  readonly force?: boolean;
  readonly unreadable?: boolean;
}

export function rmCommand(context: CommandContext): Command {
  const { cli } = context;
  const description = "delete jobs that have ended, with their output";
  return addSelection(new Command("rm").description(description), "every job that has ended")
    .option(
      "-f, --force",
      "first cancel a job that has not ended, and end what one has left behind",
    )
    .addOption(
      new Option(
        "--unreadable",
        "remove jobs whose records cannot be read, unless they run; without ids, list them",
      ).conflicts(["force", "last", "label", "status", "name", "all"]),
    )
    .option("--json", "print each id as a JSON object")
    .addHelpText("after", HELP)
    .action(async (given: string[], options: RmOptions) => {
      const { force = false, unreadable = false, json = false } = options;
      const remaining = force ? { includeRemaining: true } : {};
      const ids = context.allWords(given);
      if (ids.length === 0 && unreadable) {
        return context.withClient((client) => listUnreadable(client, json, cli));
      }
      const print = (id: string) => context.printResult({ type: "done", id }, options, "removed");
      const selection = selectionOf(ids, options);
      if (selection) {
        return context.withSelection(
          (client) => client.removeJobs(selection, { cancel: force, ...remaining }),
          ({ id }) => print(id),
        );
      }
      const remove = async (client: Procman, id: string) => {
        if (force) await client.cancel(id).catch(ignoreNotRunning);
        await client.remove(id, { unreadable, ...remaining }).catch(explain);
        await print(id);
      };
      // A list of jobs to find an id in does not have them.
      await context.forEachJob(ids, options, remove, unreadable ? { resolveId: wholeId } : {});
    });
}

/** @throws what it is given, for a job with processes with what to do about that */
function explain(error: unknown): never {
  const reason = error instanceof ProcmanError ? error.reason : undefined;
  const what = { JOB_RUNNING: "cancels it first", JOB_HAS_PROCESSES: "ends what is left first" };
  if (
    !(error instanceof ProcmanError) ||
    !(reason === "JOB_RUNNING" || reason === "JOB_HAS_PROCESSES")
  )
    throw error;
  throw new CliError(`${error.message}; "procman rm -f" ${what[reason]}`, { cause: error });
}

async function wholeId(_client: Procman, given: string): Promise<string> {
  return given;
}

/** @throws CliError where there are any: nothing is removed that was not named */
async function listUnreadable(client: Procman, json: boolean, { stdout, stderr }: Cli) {
  const { unreadable, unreadableSize } = await client.list({ pageSize: 1 });
  if (unreadable.length === 0) return stderr.line("procman: there are no unreadable jobs");
  await stdout.lines(json ? unreadable.map(unreadableJson) : formatJobTable(unreadable, stdout));
  const more = unreadableSize - unreadable.length;
  const these = more > 0 ? `those to remove of these and ${more} more` : "those to remove";
  throw new CliError(`name ${these}: procman rm --unreadable ID...`, { exitCode: EXIT.usage });
}
