import { setTimeout as sleep } from "node:timers/promises";
import { type Job, ProcmanService, Status } from "../../gen/procman/v1/procman_pb.js";
import { measureCalls } from "../callers.js";
import { GrpcClient } from "../grpc-client.js";
import { cpuSeconds } from "../process-figures.js";
import type { Scratch } from "../scratch.js";
import { ServerProcess } from "../server-process.js";
import type { Contender, Order } from "./contender.js";

const { start: startMethod, wait, watchJobs } = ProcmanService.method;
const POLL_INTERVAL_MS = 20;

/** procman over gRPC, on TCP: one client with one connection. */
export async function procman(
  scratch: Scratch,
): Promise<{ byWait: Contender; byWatchJobs: Contender }> {
  const server = await ServerProcess.start(scratch);
  const client = new GrpcClient(server.target);
  scratch.defer(() => client.close());
  const start = async () => {
    const { job } = await client.call(startMethod, { command: "true" });
    return job?.id ?? "";
  };
  const run = async ({ callers, count }: Order, call: () => Promise<unknown>) => {
    const cpu = cpuSeconds(server.pid);
    const run = await measureCalls({ callers, count }, call);
    await untilIdle(server);
    const serverCpuSeconds = cpuSeconds(server.pid) - cpu;
    // Each round begins with as many jobs on record.
    await server.client.cleanup({ olderThanMs: 0 });
    return { ...run, serverCpuSeconds };
  };
  return {
    byWait: {
      name: "procman: Start, Wait",
      run: (order) =>
        run(order, async () => {
          const id = await start();
          if (order.untilEnd) await client.call(wait, { id });
        }),
    },
    byWatchJobs: {
      name: "procman: Start, one WatchJobs",
      run: async (order) => {
        const ends = await JobEnds.watch(client);
        try {
          return await run(order, async () => ends.of(await start()));
        } finally {
          ends.close();
        }
      },
    },
  };
}

async function untilIdle({ client }: ServerProcess): Promise<void> {
  while ((await client.list({ statuses: ["running"], pageSize: 1 })).totalSize > 0) {
    await sleep(POLL_INTERVAL_MS);
  }
}

/** The ends of jobs, as one WatchJobs tells of them. */
class JobEnds {
  readonly #ended = new Set<string>();
  readonly #waiting = new Map<string, () => void>();
  #cancel = () => {};

  static async watch(client: GrpcClient): Promise<JobEnds> {
    const ends = new JobEnds();
    const call = client.stream(watchJobs, {});
    ends.#cancel = () => call.cancel();
    await new Promise<void>((resolve, reject) => {
      call.on("data", ({ event }) => {
        if (event.case === "snapshot") resolve();
        if (event.case === "changed" && event.value.job) ends.#changed(event.value.job);
      });
      // It ends by being cancelled, which nobody is to know.
      call.on("error", reject);
    });
    return ends;
  }

  /** Resolves at the job's end, or at once where that was told before. */
  async of(id: string): Promise<void> {
    if (this.#ended.has(id)) return;
    await new Promise<void>((resolve) => this.#waiting.set(id, resolve));
  }

  close(): void {
    this.#cancel();
  }

  #changed({ id, status }: Job): void {
    if (status < Status.COMPLETED) return;
    this.#ended.add(id);
    this.#waiting.get(id)?.();
    this.#waiting.delete(id);
  }
}
