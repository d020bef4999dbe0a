import type { Command } from "commander";
import type { Procman } from "../../contract/procman.js";
import { CliError, EXIT } from "../exit-codes.js";
import { resolveJobId } from "./find-jobs.js";

export interface LastOption {
  readonly last?: boolean;
}

/** What stands for a job on the command line. */
const ABOUT = "the id of the job, the first letters of it, or its name";
const ABOUT_SEVERAL = "the ids of the jobs, the first letters of them, or their names";

/** Adds the argument that says which job a command is for. */
export function addJobArgument(command: Command): Command {
  return addLastOption(command.argument("[id]", ABOUT));
}

/** Adds the argument for a command that takes several jobs. */
export function addJobsArgument(command: Command): Command {
  return addLastOption(command.argument("[id...]", ABOUT_SEVERAL));
}

function addLastOption(command: Command): Command {
  return command.option("-l, --last", "the job that was started last");
}

/**
 * Returns what finds the job that is meant.
 * @throws CliError unless there is either an id or --last
 */
export function jobFinder(
  given: string | undefined,
  { last = false }: LastOption,
  resolveId = resolveJobId,
): (client: Procman) => Promise<string> {
  if (given === undefined && last) return newestJobId;
  if (given === undefined) throw usageError("missing required argument 'id'");
  if (last) throw usageError("give either an id or --last");
  return (client) => resolveId(client, given);
}

async function newestJobId(client: Procman): Promise<string> {
  const { jobs } = await client.list({ pageSize: 1 });
  const [newest] = jobs;
  if (!newest) throw new CliError("there are no jobs");
  return newest.id;
}

function usageError(message: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage });
}
