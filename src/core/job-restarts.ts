import { ignoreNotRunning } from "../contract/errors.js";
import type { RestartOptions } from "../contract/procman.js";
import { anyAborted } from "../platform/abort-signals.js";
import { crashPoint } from "../platform/crash-point.js";
import { defined } from "../platform/defined.js";
import type { JobNames } from "./job-names.js";
import { DEFAULT_GRACE_PERIOD_MS, type JobContext, type ManagedJob } from "./managed-job.js";
import type { RestartIntent } from "./ports.js";
import { leaseOf } from "./transitions.js";
import type { StartRequests } from "./start-requests.js";
import { type RequestedSpec, validDuration, validRequestId } from "./validate.js";

export interface JobRestartsOptions {
  readonly context: JobContext;
  readonly names: JobNames;
  readonly requests: StartRequests;
  /** Returns the job of an id, or else the newest one of a name. @throws ProcmanError */
  readonly resolve: (idOrName: string) => ManagedJob;
  readonly newId: () => string;
  /**
   * Starts a job.
   * @param beforeShown waited for once the job runs, before anybody finds it
   */
  readonly start: (
    id: string,
    spec: RequestedSpec,
    beforeShown: () => Promise<void>,
  ) => Promise<ManagedJob>;
}

/**
 * Starts jobs again as they were started, in place of themselves.
 *
 * That a job is ended for it is recorded in its own record, with the id of the one to
 * come, together with the stop. From there on this server or the next one starts that
 * one. The intent goes once the new job is on disk, and before anybody can find it: so
 * where the intent is and the new job is not, it was never started.
 */
export class JobRestarts {
  readonly #options: JobRestartsOptions;
  /** By the id of the job that is started again. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(options: JobRestartsOptions) {
    this.#options = options;
  }

  /**
   * Restarts the job of an id, or the newest one of a name.
   * @throws ProcmanError as the contract lists for `restart`
   */
  async restart(idOrName: string, options: RestartOptions): Promise<ManagedJob> {
    const { gracePeriodMs = DEFAULT_GRACE_PERIOD_MS } = options;
    const graceMs = validDuration("grace_period", gracePeriodMs);
    const requestId = validRequestId(options.requestId ?? "");
    const { requests, resolve } = this.#options;
    const known = requests.find(requestId, ({ previousId, name }) => {
      return previousId !== undefined && (previousId === idOrName || name === idOrName);
    });
    if (known) return known;
    const spec = specInPlaceOf(resolve(idOrName), requestId);
    return requests.begin(spec, this.#afterOthers(idOrName, { requestId, graceMs }));
  }

  /** Goes on with what an earlier process has begun, where it did not come to start the new job. */
  carryOn(job: ManagedJob, { requestId }: RestartIntent): Promise<ManagedJob> {
    const { context, names, requests, newId } = this.#options;
    const spec = specInPlaceOf(job, requestId);
    const start = async () => {
      // It was carried on when the job was taken over.
      await job.stopsIdle();
      await anyAborted(job.ended, context.closing);
      context.closing.throwIfAborted();
      const id = newId();
      // A runner of the id that was planned may still come and look for its directory.
      await job.replanRestart({ newId: id, requestId, requestedTime: new Date() });
      return this.#start(job, spec, id);
    };
    const restarting = this.#orGiveUp(job, () =>
      names.once(spec.name, { ifRunning: "fail", previous: job }, start),
    );
    return requests.begin(spec, this.#noted(job, restarting));
  }

  /** One after another: each call then finds what the one before has started. */
  async #afterOthers(
    idOrName: string,
    { requestId, graceMs }: { readonly requestId: string; readonly graceMs: number },
  ): Promise<ManagedJob> {
    const { names, resolve } = this.#options;
    let job = resolve(idOrName);
    for (;;) {
      const other = this.#underWay.get(job.id);
      if (!other) break;
      await other.catch(() => {});
      job = resolve(idOrName);
    }
    const spec = specInPlaceOf(job, requestId);
    const start = () => this.#orGiveUp(job, () => this.#restart(job, spec, graceMs));
    return this.#noted(job, names.once(spec.name, { ifRunning: "fail", previous: job }, start));
  }

  async #noted(job: ManagedJob, restarting: Promise<ManagedJob>): Promise<ManagedJob> {
    this.#underWay.set(job.id, restarting);
    try {
      return await restarting;
    } finally {
      this.#underWay.delete(job.id);
    }
  }

  async #restart(job: ManagedJob, spec: RequestedSpec, graceMs: number): Promise<ManagedJob> {
    const { context, newId } = this.#options;
    const id = newId();
    if (!job.ended.aborted) {
      // Nothing is ended for a command that cannot be run.
      await context.engine.prepare({ id, ...spec });
      const { requestId } = spec;
      await this.#end(job, { newId: id, requestId, requestedTime: new Date() }, graceMs);
    } else if (!job.noneRemain.aborted) {
      await context.engine.prepare({ id, ...spec });
      await job.endRemaining(graceMs).catch(ignoreNotRunning);
    }
    return this.#start(job, spec, id);
  }

  async #end(job: ManagedJob, intent: RestartIntent, graceMs: number): Promise<void> {
    await job.stop("cancel", graceMs, intent).catch(ignoreNotRunning);
    crashPoint("restart:ended");
  }

  #start(job: ManagedJob, spec: RequestedSpec, id: string): Promise<ManagedJob> {
    return this.#options.start(id, spec, async () => {
      crashPoint("restart:started");
      await job.endRestart();
      crashPoint("restart:recorded");
    });
  }

  /** A restart that fails is over, unless this process is closing: the next one carries it on. */
  async #orGiveUp<T>(job: ManagedJob, restart: () => Promise<T>): Promise<T> {
    try {
      return await restart();
    } catch (error) {
      if (!this.#options.context.closing.aborted) await job.endRestart();
      throw error;
    }
  }
}

/** Returns what a job is asked to be that is started as another one was. */
function specInPlaceOf({ id, record }: ManagedJob, requestId: string): RequestedSpec {
  const { id: _, ...spec } = record.spec;
  const leaseMs = leaseOf(record);
  return { ...spec, requestId, previousId: id, ...defined({ leaseMs }) };
}
