import { isDeepStrictEqual } from "node:util";
import { argumentError } from "../contract/errors.js";
import type { ManagedJob } from "./managed-job.js";
import type { RequestedSpec } from "./validate.js";

/** Makes Start retry-safe: one job for each request_id, also while that is being started. */
export class StartRequests {
  readonly #find: (id: string) => ManagedJob | undefined;
  /** By request_id: the start that is under way, or the id of the job. */
  readonly #byId = new Map<string, StartUnderWay | string>();

  /** @param find finds the job of an id; undefined where it is gone */
  constructor(find: (id: string) => ManagedJob | undefined) {
    this.#find = find;
  }

  /**
   * Returns the job that this request started before, or starts it.
   * @throws ProcmanError REQUEST_ID_CONFLICT where the id belongs to another request
   */
  async once(spec: RequestedSpec, start: () => Promise<ManagedJob>): Promise<ManagedJob> {
    const isSame = (known: RequestedSpec) => isSameRequest(known, spec);
    return this.find(spec.requestId, isSame) ?? this.begin(spec, start());
  }

  /**
   * Finds the job that a request started before, or is starting.
   * @param isSame whether what a job was asked to be is what this request asks for
   * @throws ProcmanError REQUEST_ID_CONFLICT where the id belongs to another request
   */
  find(
    requestId: string,
    isSame: (spec: RequestedSpec) => boolean,
  ): Promise<ManagedJob> | ManagedJob | undefined {
    const known = requestId === "" ? undefined : this.#known(requestId);
    if (!known || isSame(known.spec)) return known?.job;
    const description = "was used for another request";
    throw argumentError("REQUEST_ID_CONFLICT", [{ field: "request_id", description }], {
      message: `request_id ${JSON.stringify(requestId)} ${description}`,
    });
  }

  /** Adds a request whose job is being started. Settles as that does. */
  async begin(spec: RequestedSpec, starting: Promise<ManagedJob>): Promise<ManagedJob> {
    const { requestId } = spec;
    if (requestId === "") return starting;
    this.#byId.set(requestId, { spec, job: starting });
    let started: string | undefined;
    try {
      const job = await starting;
      // Where there was one of that name already, nothing was started.
      if (job.record.spec.requestId === requestId) started = job.id;
      return job;
    } finally {
      if (started === undefined) this.#byId.delete(requestId);
      else this.#byId.set(requestId, started);
    }
  }

  /** Adds a request that an earlier process answered. */
  remember(requestId: string, jobId: string): void {
    if (requestId !== "") this.#byId.set(requestId, jobId);
  }

  forget(requestId: string): void {
    this.#byId.delete(requestId);
  }

  #known(requestId: string): StartUnderWay | { spec: RequestedSpec; job: ManagedJob } | undefined {
    const known = this.#byId.get(requestId);
    if (typeof known !== "string") return known;
    const job = this.#find(known);
    return job && { spec: job.record.spec, job };
  }
}

interface StartUnderWay {
  readonly spec: RequestedSpec;
  readonly job: Promise<ManagedJob>;
}

function isSameRequest(a: RequestedSpec, b: RequestedSpec): boolean {
  // A spec from a job's record has an id too. A request repeated from a terminal
  // window of another size is the same request.
  const compared = (spec: RequestedSpec) => ({ ...spec, id: "", windowSize: undefined });
  return isDeepStrictEqual(compared(a), compared(b));
}
