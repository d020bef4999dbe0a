import { isProcmanError } from "../contract/errors.js";
import type { Job } from "../contract/job.js";
import { keepLease } from "../contract/keep-lease.js";
import { sleep } from "../platform/timers.js";
import type { McpHost } from "./mcp-host.js";
import type { ProcmanConnection } from "./procman-connection.js";

const RETRY_INTERVAL_MS = 1000;

/**
 * Renews the leases of jobs that are to end with this process, for as long as that is there.
 * Where procman's server is gone, none is started for it: the next one begins all leases anew.
 */
export class KeptLeases {
  readonly #connection: Pick<ProcmanConnection, "once">;
  readonly #host: Pick<McpHost, "warn">;
  readonly #closed: AbortSignal;
  /** Also those that have ended: they may be restarted. */
  readonly #ids = new Set<string>();

  /** @param closed aborted when no lease is to be renewed any more */
  constructor(
    connection: Pick<ProcmanConnection, "once">,
    host: Pick<McpHost, "warn">,
    closed: AbortSignal,
  ) {
    this.#connection = connection;
    this.#host = host;
    this.#closed = closed;
  }

  /** Begins to renew a job's lease, if it has one. */
  keep({ id, leaseMs }: Job): void {
    if (leaseMs === undefined || this.#ids.has(id)) return;
    this.#ids.add(id);
    this.#renew(id).catch(({ message }: Error) =>
      this.#host.warn(`the lease of job ${id} is not renewed any more: ${message}`),
    );
  }

  /** Does the same for a job that was started in place of one whose lease was kept. */
  keepRestarted(job: Job): void {
    if (job.previousId !== undefined && this.#ids.has(job.previousId)) this.keep(job);
  }

  async #renew(id: string): Promise<void> {
    const renewing: Parameters<typeof keepLease>[0] = {
      renewLease: (...args) => this.#connection.once((client) => client.renewLease(...args)),
    };
    while (!this.#closed.aborted) {
      try {
        return await keepLease(renewing, id, this.#closed);
      } catch (error) {
        // Any other: a call that wants a server has failed to start one.
        if (isProcmanError(error)) throw error;
        await sleep(RETRY_INTERVAL_MS, this.#closed);
      }
    }
  }
}
