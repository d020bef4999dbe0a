import { isDeepStrictEqual } from "node:util";
import { argumentError } from "../contract/errors.js";
import type { ManagedJob } from "./managed-job.js";
import type { RequestedSpec } from "./validate.js";

/** Makes Start retry-safe: one job for each request_id, also while that is being started. */
export class StartRequests {
  readonly #byId = new Map<string, KnownRequest>();

  /**
   * Returns the job that this request started before, or starts it.
   * @throws ProcmanError REQUEST_ID_CONFLICT where the id belongs to another request
   */
  async once(spec: RequestedSpec, start: () => Promise<ManagedJob>): Promise<ManagedJob> {
    const { requestId } = spec;
    if (requestId === "") return start();
    const known = this.#byId.get(requestId);
    if (known) {
      if (isSameRequest(known.spec, spec)) return known.job;
      const description = "was used for another request";
      throw argumentError("REQUEST_ID_CONFLICT", [{ field: "request_id", description }], {
        message: `request_id ${JSON.stringify(requestId)} ${description}`,
      });
    }
    const job = start();
    const request = { spec, job };
    this.#byId.set(requestId, request);
    job.catch(() => this.#byId.delete(requestId));
    return job;
  }

  /** Adds a request that an earlier process answered. */
  remember(spec: RequestedSpec, job: ManagedJob): void {
    if (spec.requestId === "") return;
    this.#byId.set(spec.requestId, { spec, job: Promise.resolve(job) });
  }

  forget(spec: RequestedSpec): void {
    this.#byId.delete(spec.requestId);
  }
}

interface KnownRequest {
  readonly spec: RequestedSpec;
  readonly job: Promise<ManagedJob>;
}

function isSameRequest(a: RequestedSpec, b: RequestedSpec): boolean {
  // A spec from a job's record has an id too. A request repeated from a terminal
  // window of another size is the same request.
  const compared = (spec: RequestedSpec) => ({ ...spec, id: "", windowSize: undefined });
  return isDeepStrictEqual(compared(a), compared(b));
}
