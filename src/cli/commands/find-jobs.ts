import { ProcmanError } from "../../contract/errors.js";
import type { JobFilter, JobPage, ListOptions, Procman } from "../../contract/procman.js";
import { CliError, EXIT } from "../exit-codes.js";
import { printable } from "../format/printable.js";

/** A page holds jobs with their environments: of moderate size. */
const PAGE_SIZE = 200;
const MAX_LISTED_IDS = 10;

/** Yields the jobs that match, newest first, a page at a time. */
export async function* pagesOfJobs(
  client: Procman,
  filter: JobFilter & Pick<ListOptions, "includeUsage"> = {},
  maxJobs = Number.POSITIVE_INFINITY,
): AsyncGenerator<JobPage> {
  let pageToken = "";
  let left = maxJobs;
  do {
    const pageSize = Math.min(PAGE_SIZE, left);
    const page = await client.list({ ...filter, pageSize, pageToken });
    yield page;
    left -= page.jobs.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
}

/**
 * Returns the id of the job that is meant: the one with that id, or else the only
 * one whose id begins so.
 * @throws CliError that lists the candidates; ProcmanError JOB_NOT_FOUND
 */
export async function resolveJobId(client: Procman, given: string): Promise<string> {
  const { id } = await resolveJob(client, given);
  return id;
}

/**
 * Does the same, but leaves a name as it is, for Restart. By the name the server finds the
 * job that an earlier call of it has started, where this one is a repetition, and what one
 * that is under way is about to start.
 */
export async function resolveIdOrName(client: Procman, given: string): Promise<string> {
  const { id, isName } = await resolveJob(client, given);
  return isName ? given : id;
}

async function resolveJob(
  client: Procman,
  given: string,
): Promise<{ readonly id: string; readonly isName: boolean }> {
  if (given === "") throw new CliError("a job id must not be empty", { exitCode: EXIT.usage });
  try {
    const { id } = await client.get(given);
    return { id, isName: id !== given };
  } catch (error) {
    if (!(error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND")) throw error;
    const candidates = await idsThatBeginWith(client, given);
    const [only] = candidates;
    if (only === undefined) throw error;
    if (candidates.length === 1) return { id: only, isName: false };
    throw new CliError(
      `${printable(given)} is ambiguous: it can be ${listed(candidates)}; give more of the id`,
    );
  }
}

async function idsThatBeginWith(client: Procman, prefix: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { jobs } of pagesOfJobs(client)) {
    ids.push(...jobs.map(({ id }) => id).filter((id) => id.startsWith(prefix)));
  }
  return ids;
}

function listed(ids: readonly string[]): string {
  const shown = ids.slice(0, MAX_LISTED_IDS).join(", ");
  const more = ids.length - MAX_LISTED_IDS;
  return more > 0 ? `${shown} and ${more} more` : shown;
}
