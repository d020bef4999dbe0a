import type { Job } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { formatJobSummary } from "./job-details.js";
import { jobJson } from "../../wire/json.js";

export interface JsonOption {
  readonly json?: boolean;
}

/** One line about a job: what became of it, or all of it as JSON. */
export async function printJob(job: Job, { json }: JsonOption, { stdout }: Cli): Promise<void> {
  await stdout.line(json ? jobJson(job) : formatJobSummary(job, stdout));
}
