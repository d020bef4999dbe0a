import { ignoreNotRunning } from "../../contract/errors.js";
import type { Job } from "../../contract/job.js";
import { keepLease } from "../../contract/keep-lease.js";
import type { Procman } from "../../contract/procman.js";
import { failureText } from "../failure-text.js";
import { EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";

/** The lease of a job that ends with its `run`: how long it goes on where that is killed. */
export const DEFAULT_OWN_LEASE_MS = 15_000;

/**
 * Follows a job that is to end with this command, however that ends: its lease is kept
 * until then. An interruption cancels the job, whose output is shown to its end.
 */
export async function followOwnJob(
  context: CommandContext,
  client: Procman,
  { id }: Job,
  interruption: AbortSignal,
  follow: () => Promise<Job | undefined>,
): Promise<Job | undefined> {
  const { stderr } = context.cli;
  const leaving = new AbortController();
  // Without the lease the job ends by itself, and is seen to.
  const keeping = keepLease(client, id, leaving.signal).catch((error: unknown) =>
    stderr.line(`procman: the lease of job ${id} cannot be renewed: ${failureText(error)}`),
  );
  let ending: Promise<unknown> | undefined;
  const end = () => {
    ending ??= client.cancel(id).catch(ignoreNotRunning);
    // Awaited below. Until then a rejection must not count as unhandled.
    ending.catch(() => {});
  };
  interruption.addEventListener("abort", end);
  if (interruption.aborted) end();
  const leave = async () => {
    interruption.removeEventListener("abort", end);
    // Also where it cannot be followed any more, as when nobody reads what it writes.
    end();
    try {
      await ending;
    } finally {
      leaving.abort();
      await keeping;
    }
    if (interruption.aborted) context.exitCode = EXIT.interrupted;
  };
  let last: Job | undefined;
  try {
    last = await follow();
  } catch (error) {
    // Where the server is lost it cannot be ended either: its lease does that.
    await leave().catch(() => {});
    throw error;
  }
  await leave();
  return last;
}

/** Removes a job that this command has followed to its end. */
export async function removeOwnJob(
  { cli }: CommandContext,
  client: Procman,
  { id }: Job,
): Promise<void> {
  try {
    await client.remove(id);
  } catch (error) {
    // The exit code is the job's.
    await cli.stderr.line(`procman: job ${id} was not removed: ${failureText(error)}`);
  }
}
