import type { Procman } from "../../contract/procman.js";
import { ProcmanError } from "../../contract/errors.js";
import { allJobs } from "../all-jobs.js";
import { CliError } from "../cli-error.js";
import { EXIT } from "../exit-codes.js";
import { printable } from "../format/printable.js";

const MAX_CANDIDATES = 10;

/**
 * The id of the job that is meant: itself, or the only one that begins so.
 * @throws CliError that lists the candidates; ProcmanError JOB_NOT_FOUND
 */
export async function resolveJobId(client: Procman, given: string): Promise<string> {
  if (given === "") throw new CliError("a job id must not be empty", { exitCode: EXIT.usage });
  try {
    return (await client.get(given)).id;
  } catch (error) {
    if (!(error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND")) throw error;
    const candidates = await idsThatBeginWith(client, given);
    const [only] = candidates;
    if (only === undefined) throw error;
    if (candidates.length === 1) return only;
    throw new CliError(
      `${printable(given)} is ambiguous: it can be ${listed(candidates)}; give more of the id`,
    );
  }
}

async function idsThatBeginWith(client: Procman, prefix: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const jobs of allJobs(client)) {
    ids.push(...jobs.map(({ id }) => id).filter((id) => id.startsWith(prefix)));
  }
  return ids;
}

function listed(ids: readonly string[]): string {
  const shown = ids.slice(0, MAX_CANDIDATES);
  const more = ids.length - shown.length;
  return more === 0 ? shown.join(", ") : `${shown.join(", ")} and ${more} more`;
}
