import { isDeepStrictEqual } from "node:util";
import { argumentError } from "../contract/errors.js";
import type { ManagedJob } from "./managed-job.js";
import type { RequestedSpec } from "./validate.js";

/** Makes Start safe to repeat: one job a request_id, also while it is being started. */
export class StartRequests {
  readonly #byId = new Map<string, KnownRequest>();

  /**
   * The job that this request made before, or makes now.
   * @throws ProcmanError REQUEST_ID_CONFLICT when the id was another request's.
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

  /** Takes over a request that an earlier process answered. */
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
  // One of them may come from a record, and have an id. The same from another
  // window is the same.
  const compared = (spec: RequestedSpec) => ({ ...spec, id: "", windowSize: undefined });
  return isDeepStrictEqual(compared(a), compared(b));
}
