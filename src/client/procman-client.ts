import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { nanoid } from "nanoid";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import type {
  AttachEvent,
  AttachOptions,
  BoundedOutput,
  CallOptions,
  CancelOptions,
  CleanupOptions,
  GetOptions,
  InputPosition,
  JobPage,
  JobResults,
  JobSelection,
  JobsEvent,
  ListOptions,
  OutputPeriod,
  OutputStart,
  Procman,
  ReadOutputOptions,
  RemoveJobsOptions,
  RemoveOptions,
  RenewLeaseOptions,
  RestartOptions,
  SendInputOptions,
  SignalOptions,
  StartOptions,
  WaitedJob,
  WaitOptions,
  WatchEvent,
  WatchJobsOptions,
  WatchOptions,
} from "../contract/procman.js";
import type { Job, Stream, WindowSize } from "../contract/job.js";
import { checkIsObject, checkOptions, checkReconnect } from "./client-options.js";
import { CallRunner, type Connection } from "./call-runner.js";
import {
  decodeInputPosition,
  encodeCancel,
  encodeCleanup,
  encodeGet,
  encodeRemove,
  encodeRenewLease,
  encodeResizeWindow,
  encodeRestart,
  encodeSendInput,
  encodeSignal,
} from "../wire/control.js";
import { decodeName } from "../wire/fields.js";
import { decodeJob } from "../wire/job.js";
import { decodePage, encodeList, encodeWatchJobs } from "../wire/jobs.js";
import { decodeAttachEvent, decodeWatchEvent, encodeAttach, encodeWatch } from "../wire/output.js";
import { decodeBoundedOutput, encodeReadOutput } from "../wire/read-output.js";
import {
  decodeResults,
  encodeCancelJobs,
  encodeRemoveJobs,
  encodeSignalJobs,
} from "../wire/several-jobs.js";
import { encodeStart } from "../wire/start.js";
import { decodeWaited, encodeWait } from "../wire/wait.js";
import { defined } from "../platform/defined.js";
import { ProcmanError } from "../contract/errors.js";
import { followJobs } from "./follow-jobs.js";
import { followOutput } from "./follow-output.js";
import type { ReconnectOptions } from "./reconnection.js";
import { waitInSlices } from "./wait-in-slices.js";

/** Servers send a heartbeat every 15 s. */
const DEFAULT_SILENCE_MS = 45_000;
/** The share of it that one request of `wait` waits: shorter also than proxies take. */
const WAIT_SLICE_SHARE = 2 / 3;
/** The server's default time between SIGTERM and SIGKILL. */
const DEFAULT_GRACE_PERIOD_MS = 5000;

export interface ProcmanClientOptions {
  /**
   * How calls go on when the connection is lost or the server restarts, or false. Those
   * that do are `attach`, `watch`, `watchJobs`, `wait`, `get`, `list`, `start`, `restart`,
   * `renewLease`, `resizeWindow`, and `sendInput` with an offset. Default: as ReconnectOptions says.
   */
  readonly reconnect?: ReconnectOptions | false;
}

export interface TransportClientOptions extends ProcmanClientOptions {
  /** The server's address, for messages. Default "the server". */
  readonly server?: string;
  /** How long the server may be silent, where it should not be, before it is lost. Default 45 000. */
  readonly silenceMs?: number;
  /** Called once, by `close`. */
  readonly onClose?: () => void;
}

/** Makes a client of the server at the other end of any Connect transport. */
export function createProcmanClientFromTransport(
  transport: Transport,
  options: TransportClientOptions = {},
): Procman {
  checkOptions((violations) => {
    checkIsObject(options, violations);
    checkReconnect(options.reconnect, violations);
    const { silenceMs } = options;
    if (silenceMs !== undefined && !(typeof silenceMs === "number" && silenceMs > 0)) {
      violations.add("silenceMs", "must be a positive number");
    }
  });
  return new ProcmanClient(transport, options);
}

/** Sends the server's token with each call. */
export function sendToken(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
}

class ProcmanClient implements Procman {
  readonly #rpc: Client<typeof ProcmanService>;
  readonly #calls: CallRunner;
  readonly #silenceMs: number;
  #onClose: (() => void) | undefined;

  constructor(transport: Transport, options: TransportClientOptions) {
    const { reconnect = {}, server = "the server", silenceMs = DEFAULT_SILENCE_MS } = options;
    this.#rpc = createClient(ProcmanService, transport);
    this.#calls = new CallRunner({ reconnect, server, silenceMs });
    this.#silenceMs = silenceMs;
    this.#onClose = options.onClose;
  }

  /** Gets a request id where it has none, which makes it retry-safe. */
  async start({ signal, ...options }: StartOptions): Promise<Job> {
    const request = encodeStart(this.#withRequestId(options));
    const send = async (signal: AbortSignal) => this.#rpc.start(request, { signal });
    const { job } = await this.#calls.retrySafe(signal, send);
    return decodeJob(job);
  }

  async get(id: string, { signal, ...options }: GetOptions = {}): Promise<Job> {
    const request = encodeGet(id, options);
    const { job } = await this.#calls.retrySafe(signal, (signal) =>
      this.#rpc.get(request, { signal }),
    );
    return decodeJob(job);
  }

  async list({ signal, ...options }: ListOptions = {}): Promise<JobPage> {
    const request = encodeList(options);
    const page = await this.#calls.retrySafe(signal, (signal) =>
      this.#rpc.list(request, { signal }),
    );
    return decodePage(page);
  }

  attach(idOrName: string, { signal, ...options }: AttachOptions = {}): AsyncIterable<AttachEvent> {
    const { follow = false, sinceTime, untilTime, writtenTimes, ...asked } = options;
    const period = defined({ sinceTime, untilTime, writtenTimes });
    return followOutput(this.#calls, signal, {
      idOrName,
      asked,
      open: (id, start, signal) =>
        this.#rpc.attach(encodeAttach(id, { ...start, ...period, follow }), { signal }),
      decode: decodeAttachEvent,
      locateTail: (id, stream, connection) =>
        this.#locateTail(id, { ...asked, ...period, stream }, connection),
      job: (id, signal) => this.get(id, { signal }),
    });
  }

  async readOutput(
    id: string,
    { signal, ...options }: ReadOutputOptions = {},
  ): Promise<BoundedOutput> {
    const request = encodeReadOutput(id, options);
    const response = await this.#calls.retrySafe(signal, (signal) =>
      this.#rpc.readOutput(request, { signal }),
    );
    return decodeBoundedOutput(response);
  }

  watch(idOrName: string, { signal, ...options }: WatchOptions = {}): AsyncIterable<WatchEvent> {
    const { pattern, invert, follow, sinceTime, untilTime, writtenTimes, ...asked } = options;
    const period = defined({ sinceTime, untilTime, writtenTimes });
    const lines = { ...defined({ pattern, invert, follow }), ...period };
    return followOutput(this.#calls, signal, {
      idOrName,
      asked,
      open: (id, start, signal) =>
        this.#rpc.watch(encodeWatch(id, { ...start, ...lines }), { signal }),
      decode: decodeWatchEvent,
      locateTail: (id, stream, connection) =>
        this.#locateTail(id, { ...asked, ...period, stream }, connection),
      job: (id, signal) => this.get(id, { signal }),
    });
  }

  wait(idOrName: string, { signal, ...options }: WaitOptions = {}): Promise<WaitedJob> {
    const sliceMs = this.#silenceMs * WAIT_SLICE_SHARE;
    // From the first answer on: another job may come to bear the name.
    let id = idOrName;
    return waitInSlices(options, sliceMs, async (options) => {
      const request = encodeWait(id, options);
      const call = (signal: AbortSignal) => this.#rpc.wait(request, { signal });
      const waited = decodeWaited(await this.#calls.retrySafe(signal, call));
      id = waited.id;
      return waited;
    });
  }

  watchJobs(options: WatchJobsOptions = {}): AsyncIterable<JobsEvent> {
    const { signal, ...asked } = options;
    return followJobs(this.#calls, signal, asked, (start, signal) =>
      this.#rpc.watchJobs(encodeWatchJobs({ ...asked, ...start }), { signal }),
    );
  }

  async signal(id: string, name: string, { signal, ...options }: SignalOptions = {}): Promise<Job> {
    const request = encodeSignal(id, name, options);
    const { job } = await this.#calls.once(signal, (signal) =>
      this.#rpc.signal(request, { signal }),
    );
    return decodeJob(job);
  }

  async cancel(id: string, { signal, ...options }: CancelOptions = {}): Promise<Job> {
    const request = encodeCancel(id, options);
    const { job } = await this.#calls.once(signal, (signal) =>
      this.#rpc.cancel(request, { signal }),
    );
    return decodeJob(job);
  }

  /** Gets a request id where it has none, which makes it retry-safe. */
  async restart(id: string, { signal, ...options }: RestartOptions = {}): Promise<Job> {
    const request = encodeRestart(id, this.#withRequestId(options));
    const { gracePeriodMs = DEFAULT_GRACE_PERIOD_MS } = options;
    const send = (signal: AbortSignal) => this.#rpc.restart(request, { signal });
    const { job } = await this.#calls.retrySafe(signal, send, gracePeriodMs);
    return decodeJob(job);
  }

  async renewLease(id: string, { signal, ...options }: RenewLeaseOptions = {}): Promise<Job> {
    const request = encodeRenewLease(id, options);
    const { job } = await this.#calls.retrySafe(signal, (signal) =>
      this.#rpc.renewLease(request, { signal }),
    );
    return decodeJob(job);
  }

  /** Is retry-safe with an offset, and where there is no data that could be taken twice. */
  async sendInput(id: string, { signal, ...options }: SendInputOptions): Promise<InputPosition> {
    const request = encodeSendInput(id, options);
    const send = (signal: AbortSignal) => this.#rpc.sendInput(request, { signal });
    const isRetrySafe = options.offset !== undefined || !options.data?.length;
    const position = await (isRetrySafe
      ? this.#calls.retrySafe(signal, send)
      : this.#calls.once(signal, send));
    return decodeInputPosition(position);
  }

  async resizeWindow(id: string, size: WindowSize, { signal }: CallOptions = {}): Promise<Job> {
    const request = encodeResizeWindow(id, size);
    const { job } = await this.#calls.retrySafe(signal, (signal) =>
      this.#rpc.resizeWindow(request, { signal }),
    );
    return decodeJob(job);
  }

  async remove(id: string, { signal, ...options }: RemoveOptions = {}): Promise<void> {
    const request = encodeRemove(id, options);
    await this.#calls.once(signal, (signal) => this.#rpc.remove(request, { signal }));
  }

  async cancelJobs(
    selection: JobSelection,
    { signal, ...options }: CancelOptions = {},
  ): Promise<JobResults> {
    const request = encodeCancelJobs(selection, options);
    const call = (signal: AbortSignal) => this.#rpc.cancelJobs(request, { signal });
    return decodeResults(await this.#calls.once(signal, call));
  }

  async signalJobs(
    selection: JobSelection,
    name: string,
    { signal, ...options }: SignalOptions = {},
  ): Promise<JobResults> {
    const request = encodeSignalJobs(selection, name, options);
    const call = (signal: AbortSignal) => this.#rpc.signalJobs(request, { signal });
    return decodeResults(await this.#calls.once(signal, call));
  }

  async removeJobs(
    selection: JobSelection,
    { signal, ...options }: RemoveJobsOptions = {},
  ): Promise<JobResults> {
    const request = encodeRemoveJobs(selection, options);
    const call = (signal: AbortSignal) => this.#rpc.removeJobs(request, { signal });
    return decodeResults(await this.#calls.once(signal, call));
  }

  async cleanup({ signal, ...options }: CleanupOptions = {}): Promise<readonly string[]> {
    const request = encodeCleanup(options);
    const ids: string[] = [];
    for (let more = true; more; ) {
      const removed = await this.#calls.once(signal, (signal) =>
        this.#rpc.cleanup(request, { signal }),
      );
      for (const id of removed.removedIds) ids.push(decodeName("an id", id));
      more = removed.more;
    }
    return ids;
  }

  async refresh({ signal }: CallOptions = {}): Promise<readonly Job[]> {
    const { jobs, furtherIds } = await this.#calls.once(signal, (signal) =>
      this.#rpc.refresh({}, { signal }),
    );
    const changed = jobs.map(decodeJob);
    for (const id of furtherIds) {
      const job = await this.get(id, defined({ signal })).catch(ignoreNotFound);
      if (job) changed.push(job);
    }
    return changed;
  }

  async close(): Promise<void> {
    this.#calls.close();
    this.#onClose?.();
    this.#onClose = undefined;
  }

  #withRequestId<Options extends { readonly requestId?: string }>(options: Options): Options {
    const isNeeded = !options.requestId && this.#calls.reconnects;
    return isNeeded ? { ...options, requestId: nanoid() } : options;
  }

  async #locateTail(
    id: string,
    { stream, ...asked }: OutputStart & OutputPeriod & { readonly stream: Stream },
    connection: Connection,
  ): Promise<number | undefined> {
    const request = encodeAttach(id, { ...asked, streams: [stream] });
    const open = (signal: AbortSignal) => this.#rpc.attach(request, { signal });
    for await (const { event } of connection.receive(open)) {
      if (event.case === "chunk") return Number(event.value.offset);
    }
    return undefined;
  }
}

/** For a job that was removed meanwhile. */
function ignoreNotFound(error: unknown): undefined {
  if (error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND") return undefined;
  throw error;
}
