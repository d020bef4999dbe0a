import { ignoreNotRunning, invalidArgument, ProcmanError } from "../contract/errors.js";
import type { Job } from "../contract/job.js";
import type {
  CallOptions,
  CancelOptions,
  JobFilter,
  JobResult,
  JobResults,
  JobSelection,
  Procman,
  RemainingOption,
  RemoveJobsOptions,
  RemoveOptions,
  SignalOptions,
} from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { inParallel } from "../platform/in-parallel.js";
import { signalName } from "../platform/signal-name.js";
import type { JobContext } from "./managed-job.js";
import { validDuration, validSelection } from "./validate.js";

/** How many jobs are acted on at a time: each writes its record, and may wait out its grace. */
const CONCURRENCY = 100;

/**
 * Which of the jobs that match its filters a call is for; "unended-or-left": also those
 * that have ended and whose commands have left processes behind.
 */
export type Eligible = "ended" | "unended" | "unended-or-left" | "all";

/** Removes single jobs. */
export interface JobRemover {
  /** @param options.gracePeriodMs for what remains of the job */
  remove(id: string, options?: RemoveOptions & Pick<CancelOptions, "gracePeriodMs">): Promise<void>;
}

export interface SeveralJobsOptions {
  readonly context: Pick<JobContext, "closing" | "log">;
  /** What is done with a single job. */
  readonly single: Pick<Procman, "cancel" | "signal"> & JobRemover;
  readonly hasId: (id: string) => boolean;
  /** Returns the ids of the jobs that match, newest first. */
  readonly idsOf: (filter: JobFilter, eligible: Eligible) => readonly string[];
}

/** Does the same with several jobs at once, and tells what has become of each. */
export class SeveralJobs {
  readonly #options: SeveralJobsOptions;

  constructor(options: SeveralJobsOptions) {
    this.#options = options;
  }

  async cancel(selection: JobSelection, options: CancelOptions): Promise<JobResults> {
    const { single } = this.#options;
    const each = { ...validGrace(options), ...remainingOf(options) };
    return this.#onEach(selection, eligibleFor(options), options, (idOrName) =>
      single.cancel(idOrName, each),
    );
  }

  async signal(selection: JobSelection, name: string, options: SignalOptions): Promise<JobResults> {
    const { single } = this.#options;
    if (signalName(name) === undefined) {
      throw invalidArgument("signal", `unknown signal ${JSON.stringify(name)}`);
    }
    const how = remainingOf(options);
    return this.#onEach(selection, eligibleFor(options), options, (idOrName) =>
      single.signal(idOrName, name, how),
    );
  }

  async remove(selection: JobSelection, options: RemoveJobsOptions): Promise<JobResults> {
    const { single, hasId } = this.#options;
    const grace = validGrace(options);
    const { cancel = false } = options;
    const how = { ...grace, ...remainingOf(options) };
    return this.#onEach(selection, cancel ? "all" : "ended", options, async (id) => {
      // A name would be taken for an id here.
      if (cancel && hasId(id)) await single.cancel(id, grace).catch(ignoreNotRunning);
      await single.remove(id, how);
    });
  }

  /**
   * @param eligible where the jobs are selected by filters
   * @param act returns the job as it is then, unless it is gone
   * @throws ProcmanError INVALID_ARGUMENT for the selection; SHUTTING_DOWN; the reason of
   * the caller's signal, after which no further job is begun with
   */
  async #onEach(
    selection: JobSelection,
    eligible: Eligible,
    { signal }: CallOptions,
    act: (id: string) => Promise<Job | void>,
  ): Promise<JobResults> {
    const { context, idsOf } = this.#options;
    const { ids = [] } = validSelection(selection);
    const isByFilter = ids.length === 0;
    const chosen = isByFilter ? idsOf(selection, eligible) : [...new Set(ids)];
    const all = await inParallel(
      chosen,
      CONCURRENCY,
      async (id): Promise<JobResult | undefined> => {
        signal?.throwIfAborted();
        context.closing.throwIfAborted();
        try {
          const job = (await act(id)) ?? undefined;
          return { type: "done", id: job?.id ?? id, ...defined({ job }) };
        } catch (error) {
          context.closing.throwIfAborted();
          const failure = this.#failureOf(error, id);
          // It has come to that by itself, or by another call.
          if (isByFilter && isOutrun(failure)) return undefined;
          return { type: "failed", id, error: failure };
        }
      },
    );
    const results = all.filter((result) => result !== undefined);
    const doneSize = results.filter(({ type }) => type === "done").length;
    return { results, doneSize, failedSize: results.length - doneSize };
  }

  #failureOf(error: unknown, jobId: string): ProcmanError {
    if (error instanceof ProcmanError) return error;
    this.#options.context.log.error({ jobId, err: error }, "an operation on a job failed");
    // Its message may hold what is not for clients.
    return new ProcmanError("INTERNAL", "internal error", { jobId, cause: error });
  }
}

function remainingOf({ includeRemaining }: RemainingOption): RemainingOption {
  return includeRemaining ? { includeRemaining } : {};
}

function eligibleFor({ includeRemaining }: RemainingOption): Eligible {
  return includeRemaining ? "unended-or-left" : "unended";
}

function validGrace({ gracePeriodMs }: { readonly gracePeriodMs?: number }): CancelOptions {
  if (gracePeriodMs === undefined) return {};
  return { gracePeriodMs: validDuration("grace_period", gracePeriodMs) };
}

/** Whether a job is no longer one of those that a call is for. */
function isOutrun({ reason }: ProcmanError): boolean {
  return reason === "JOB_NOT_RUNNING" || reason === "JOB_NOT_FOUND";
}
