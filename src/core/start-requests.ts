import { isDeepStrictEqual } from "node:util";
import { argumentError } from "../contract/errors.js";
import type { JobEntry } from "./job-entry.js";
import type { RequestedSpec } from "./validate.js";

/** Makes Start safe to repeat: one job a request_id, also while it is being started. */
export class StartRequests {
  readonly #byId = new Map<string, KnownRequest>();

  /**
   * The job that this request made before, or makes now.
   * @throws ProcmanError REQUEST_ID_CONFLICT when the id was another request's.
   */
  async once(spec: RequestedSpec, start: () => Promise<JobEntry>): Promise<JobEntry> {
    const { requestId } = spec;
    if (requestId === "") return start();
    const known = this.#byId.get(requestId);
    if (known) {
      if (isSameRequest(known.spec, spec)) return known.entry;
      const description = "was used for another request";
      throw argumentError("REQUEST_ID_CONFLICT", [{ field: "request_id", description }], {
        message: `request_id ${JSON.stringify(requestId)} ${description}`,
      });
    }
    const entry = start();
    const request = { spec, entry };
    this.#byId.set(requestId, request);
    entry.catch(() => this.#byId.delete(requestId));
    return entry;
  }

  /** Takes over a request that an earlier process answered. */
  remember(spec: RequestedSpec, entry: JobEntry): void {
    if (spec.requestId === "") return;
    this.#byId.set(spec.requestId, { spec, entry: Promise.resolve(entry) });
  }

  forget(spec: RequestedSpec): void {
    this.#byId.delete(spec.requestId);
  }
}

interface KnownRequest {
  readonly spec: RequestedSpec;
  readonly entry: Promise<JobEntry>;
}

function isSameRequest(a: RequestedSpec, b: RequestedSpec): boolean {
  // One of them may come from a record, and have an id. The same from another
  // window is the same.
  const compared = (spec: RequestedSpec) => ({ ...spec, id: "", windowSize: undefined });
  return isDeepStrictEqual(compared(a), compared(b));
}
