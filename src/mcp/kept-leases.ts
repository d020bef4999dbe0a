import type { Job } from "../contract/job.js";
import { keepLease } from "../contract/keep-lease.js";
import type { McpHost } from "./mcp-host.js";
import type { ProcmanConnection } from "./procman-connection.js";

/** Renews the leases of jobs that are to end with this process, for as long as that is there. */
export class KeptLeases {
  readonly #connection: ProcmanConnection;
  readonly #host: McpHost;
  readonly #closed: AbortSignal;
  /** Also those that have ended: they may be restarted. */
  readonly #ids = new Set<string>();

  /** @param closed aborted when no lease is to be renewed any more */
  constructor(connection: ProcmanConnection, host: McpHost, closed: AbortSignal) {
    this.#connection = connection;
    this.#host = host;
    this.#closed = closed;
  }

  /** Begins to renew a job's lease, if it has one. */
  keep({ id, leaseMs }: Job): void {
    if (leaseMs === undefined || this.#ids.has(id)) return;
    this.#ids.add(id);
    const renewing: Parameters<typeof keepLease>[0] = {
      renewLease: (idOrName, options) =>
        this.#connection.retrySafe(
          (client) => client.renewLease(idOrName, options),
          options?.signal,
        ),
    };
    keepLease(renewing, id, this.#closed).catch((error: unknown) =>
      this.#host.warn(`the lease of job ${id} is not renewed any more: ${String(error)}`),
    );
  }

  /** Does the same for a job that was started in place of one whose lease was kept. */
  keepRestarted(job: Job): void {
    if (job.previousId !== undefined && this.#ids.has(job.previousId)) this.keep(job);
  }
}
