import type { JobFilter, Procman } from "../contract/procman.js";
import type { Job } from "../contract/job.js";

/** A page holds jobs with their environments: of moderate size. */
const PAGE_SIZE = 200;

/** Every job that matches, newest first, a page at a time. */
export async function* allJobs(
  client: Procman,
  filter: JobFilter = {},
): AsyncGenerator<readonly Job[]> {
  let pageToken = "";
  do {
    const page = await client.list({ ...filter, pageSize: PAGE_SIZE, pageToken });
    yield page.jobs;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
