import { isTerminal, type Job } from "../../contract/job.js";
import { EXIT } from "../exit-codes.js";

/** What `run` and `wait` exit with. */
export function jobExitCode(job: Job): number {
  if (!isTerminal(job)) return EXIT.waitTimeout;
  switch (job.status) {
    case "orphaned":
      return EXIT.noExitCode;
    case "completed":
      return job.exitCode;
    case "failed":
    case "cancelled":
      // A command that was stopped may say 0; `procman run x && y` must not go on.
      return job.exitCode || EXIT.error;
  }
}
