import { type McpServer, ResourceTemplate } from "@modelcontextprotocol/sdk/server/mcp.js";
import {
  type ReadResourceResult,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { isTerminalStatus, type Job, STATUSES, STREAMS, type Stream } from "../contract/job.js";
import type { JobsEvent } from "../contract/procman.js";
import { cut } from "./plain-text.js";
import type { ProcmanConnection } from "./procman-connection.js";
import { jobFields } from "./job-fields.js";

const MAX_LISTED_JOBS = 50;
/** How much of a log one reading returns: its end. */
const MAX_READ_BYTES = 262_144;

const UNENDED = STATUSES.filter((status) => !isTerminalStatus(status));

/** Offers the logs of jobs as resources, and tells subscribers when they have grown. */
export function addLogResources(
  server: McpServer,
  connection: ProcmanConnection,
  closed: AbortSignal,
): void {
  for (const stream of STREAMS) addStream(server, connection, stream);
  server.server.registerCapabilities({ resources: { subscribe: true, listChanged: true } });
  const subscriptions = new LogSubscriptions(server, connection, closed);
  server.server.setRequestHandler(SubscribeRequestSchema, async ({ params }) => {
    await subscriptions.add(params.uri);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscriptions.delete(params.uri);
    return {};
  });
}

function addStream(server: McpServer, connection: ProcmanConnection, stream: Stream): void {
  const newest = async () => {
    const { jobs } = await connection.retrySafe((client) =>
      client.list({ pageSize: MAX_LISTED_JOBS }),
    );
    return jobs;
  };
  const template = new ResourceTemplate(`procman://jobs/{id}/${stream}`, {
    list: async () => {
      const written = (await newest()).filter((job) => job[`${stream}Bytes`] > 0);
      return {
        resources: written.map((job) => ({
          uri: uriOf(job.id, stream),
          name: `${job.name ?? job.id} ${stream}`,
          description: `${job.status}: ${cut(jobFields(job).command, 100)}`,
          size: job[`${stream}Bytes`],
        })),
      };
    },
    complete: {
      id: async (begin) =>
        (await newest()).map(({ id }) => id).filter((id) => id.startsWith(begin)),
    },
  });
  const about = {
    title: `A job's ${stream}`,
    description: `What a job has written to ${stream}, as it is; of more than 256 KiB the end.`,
    mimeType: "text/plain",
  };
  server.registerResource(stream, template, about, async (uri, { id }) =>
    readLog(connection, uri.href, decodeURIComponent(String(id)), stream),
  );
}

async function readLog(
  connection: ProcmanConnection,
  uri: string,
  id: string,
  stream: Stream,
): Promise<ReadResourceResult> {
  const { job, parts } = await connection.retrySafe((client) =>
    client.readOutput(id, { streams: [stream], maxBytes: MAX_READ_BYTES, ends: "tail" }),
  );
  const data = Buffer.concat(parts.map((part) => part.data));
  const offset = parts[0]?.offset ?? job[`${stream}Bytes`];
  const _meta = { offset, nextOffset: offset + data.length, status: job.status };
  const text = utf8(data);
  return {
    contents: [
      text === undefined
        ? { uri, mimeType: "application/octet-stream", blob: data.toString("base64"), _meta }
        : { uri, mimeType: "text/plain", text, _meta },
    ],
  };
}

/** @returns undefined for what is no UTF-8 */
function utf8(data: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return undefined;
  }
}

/** Watches the jobs that run while somebody is subscribed to a log. */
class LogSubscriptions {
  readonly #server: McpServer;
  readonly #connection: ProcmanConnection;
  /** By the URI: how the log was when that was told last. */
  readonly #told = new Map<string, string>();
  #watching: AbortController | undefined;

  constructor(server: McpServer, connection: ProcmanConnection, closed: AbortSignal) {
    this.#server = server;
    this.#connection = connection;
    closed.addEventListener("abort", () => this.#stop());
  }

  /** @throws Error where there is no such log */
  async add(uri: string): Promise<void> {
    const [, id, stream] = /^procman:\/\/jobs\/([^/]+)\/(stdout|stderr)$/.exec(uri) ?? [];
    if (id === undefined) throw new Error(`there is no resource ${uri}`);
    const job = await this.#connection.retrySafe((client) => client.get(id));
    this.#told.set(uri, stateOf(job, stream as Stream));
    if (!this.#watching) void this.#watch();
  }

  delete(uri: string): void {
    this.#told.delete(uri);
    if (this.#told.size === 0) this.#stop();
  }

  #stop(): void {
    this.#watching?.abort();
    this.#watching = undefined;
  }

  async #watch(): Promise<void> {
    const watching = new AbortController();
    this.#watching = watching;
    const { signal } = watching;
    try {
      await this.#connection.retrySafe(async (client) => {
        // Those that have ended change no more: how one ends is told all the same.
        for await (const event of client.watchJobs({ statuses: UNENDED, signal })) {
          for (const job of jobsOf(event)) await this.#tell(job);
        }
      }, signal);
    } catch {
      // Nobody can be told why. The next subscription tries again.
    } finally {
      if (this.#watching === watching) this.#watching = undefined;
    }
  }

  async #tell(job: Job): Promise<void> {
    for (const stream of STREAMS) {
      for (const idOrName of job.name === undefined ? [job.id] : [job.id, job.name]) {
        const uri = uriOf(idOrName, stream);
        const state = stateOf(job, stream);
        const told = this.#told.get(uri);
        if (told === undefined || told === state) continue;
        this.#told.set(uri, state);
        await this.#server.server.sendResourceUpdated({ uri });
      }
    }
  }
}

function jobsOf(event: JobsEvent): readonly Job[] {
  switch (event.type) {
    case "snapshot":
      return event.jobs;
    case "changed":
      return [event.job];
    case "resumed":
    case "removed":
    case "line":
    case "searched":
      return [];
  }
}

function stateOf(job: Job, stream: Stream): string {
  return `${job[`${stream}Bytes`]} ${isTerminalStatus(job.status)}`;
}

function uriOf(id: string, stream: Stream): string {
  return `procman://jobs/${encodeURIComponent(id)}/${stream}`;
}
