import type { Command } from "commander";
import { isTerminalStatus, type Job, STATUSES, type Status } from "../../contract/job.js";
import type { JobFilter, JobSelection, Procman } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { CliError, EXIT } from "../exit-codes.js";
import { pagesOfJobs, resolveJobId } from "./find-jobs.js";
import { choiceParser, type KeyValues, parseKeyValue, parseJobName } from "./options.js";

export interface LastOption {
  readonly last?: boolean;
}

/** The options that select jobs in place of ids. */
export interface SelectionOptions extends LastOption {
  readonly status?: readonly Status[];
  readonly label?: KeyValues;
  readonly name?: string;
  readonly all?: boolean;
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

/** Adds that argument, and the options that select jobs in its place. */
export function addSelection(command: Command, all: string): Command {
  return addSelectionOptions(addJobsArgument(command), all);
}

/** Adds the options that select several jobs. */
export function addSelectionOptions(command: Command, all: string): Command {
  return command
    .option(
      "--label <key=value>",
      "all jobs with this label; of several, with all of them",
      parseKeyValue,
    )
    .option(
      "--status <status>",
      `all jobs with this status: ${STATUSES.join(", ")}; several with commas`,
      choiceParser(STATUSES),
    )
    .option("--name <name>", "all jobs with this name", parseJobName)
    .option("--all", all);
}

export interface RemainingOption {
  readonly remaining?: boolean;
}

/** Adds the option that has a command reach what the commands of ended jobs have left behind. */
export function addRemainingOption(command: Command, description: string): Command {
  return command.option("--remaining", description);
}

/** What the option asks of the API; nothing without it. */
export function remainingOf({ remaining }: RemainingOption): { readonly includeRemaining?: true } {
  return remaining ? { includeRemaining: true } : {};
}

function addLastOption(command: Command): Command {
  return command.option("-l, --last", "the job that was started last");
}

/**
 * Returns what the options select, or undefined where jobs are named one by one.
 * @throws CliError where there is both
 */
export function selectionOf(
  given: readonly string[],
  { status, label, name, all, last = false }: SelectionOptions,
): Omit<JobSelection, "ids"> | undefined {
  const selection = defined({ statuses: status, labels: label, name, all });
  if (Object.keys(selection).length === 0) return undefined;
  if (given.length > 0 || last) {
    throw usageError("give either ids, --last, or --label, --status, --name and --all");
  }
  return selection;
}

/** Those of a job that has not ended. */
export const UNENDED_STATUSES: readonly Status[] = STATUSES.filter(
  (status) => !isTerminalStatus(status),
);

/**
 * Returns the jobs that are given, or selected, newest first.
 * @param narrowed what filters mean to this command; --all is none
 * @throws CliError where there are none; what an id that is wrong fails with
 */
export async function chosenJobs(
  client: Procman,
  given: readonly string[],
  options: SelectionOptions,
  narrowed: (selection: JobFilter) => JobFilter,
): Promise<readonly Job[]> {
  const selection = selectionOf(given, options);
  if (!selection) {
    return Promise.all(given.map(async (each) => client.get(await resolveJobId(client, each))));
  }
  const { all: _, ...filter } = selection;
  const jobs: Job[] = [];
  for await (const page of pagesOfJobs(client, narrowed(filter))) jobs.push(...page.jobs);
  if (jobs.length === 0) throw new CliError("there are no such jobs");
  return jobs;
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
  if (last) {
    const hint = given.includes("=") ? '; "-l" is that, and --label is written out' : "";
    throw usageError(`give either an id or --last${hint}`);
  }
  return (client) => resolveId(client, given);
}

async function newestJobId(client: Procman): Promise<string> {
  const { jobs } = await client.list({ pageSize: 1 });
  const [newest] = jobs;
  if (!newest) throw new CliError("there are no jobs");
  return newest.id;
}

export function usageError(message: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage });
}
