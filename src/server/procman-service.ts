import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import type { ServedProcman } from "../core/ports.js";
import {
  decodeCancel,
  decodeCleanup,
  decodeGet,
  decodeRemove,
  decodeResizeWindow,
  decodeRenewLease,
  decodeRestart,
  decodeSendInput,
  decodeSignal,
  encodeInputPosition,
} from "../wire/control.js";
import { encodeError } from "../wire/error-map.js";
import { encodeJob } from "../wire/job.js";
import {
  decodeList,
  decodeWatchJobs,
  encodeJobsEvent,
  encodePage,
  encodeRefreshed,
  splitSnapshots,
} from "../wire/jobs.js";
import {
  decodeAttach,
  decodeWatch,
  encodeAttachEvent,
  encodeWatchEvent,
  HEARTBEAT,
} from "../wire/output.js";
import { decodeReadOutput, encodeBoundedOutput } from "../wire/read-output.js";
import {
  decodeCancelJobs,
  decodeRemoveJobs,
  decodeSignalJobs,
  encodeResults,
} from "../wire/several-jobs.js";
import { decodeStart } from "../wire/start.js";
import { decodeWait, encodeWaited } from "../wire/wait.js";
import { startCallLog } from "./call-log.js";
import { allObservers, type CallObserver } from "./call-observer.js";
import { serveStream } from "./serve-stream.js";

const DEFAULT_HEARTBEAT_INTERVAL_MS = 15_000;

/** Removed by one Cleanup: their ids have to fit into its answer. */
const MAX_REMOVALS = 50_000;

export interface ProcmanServiceOptions {
  readonly logger: Logger;
  /** Are told of each call, besides the log. */
  readonly observers?: readonly CallObserver[];
  /** Called with each piece of output that is sent. */
  readonly onOutput?: (bytes: number) => void;
  /** How long a stream may be silent before a heartbeat is sent. Default 15 000. */
  readonly heartbeatIntervalMs?: number;
}

/**
 * The RPCs, for every protocol: decode, ask `procman`, encode, and log the call.
 *
 * A call's signal is aborted, with the reason SHUTTING_DOWN, also when the server
 * closes. Streams and calls that wait for a job end with it, so that clients come
 * back later; `procman` lets a call finish that has begun to do something.
 */
export function createProcmanService(
  procman: ServedProcman,
  {
    logger,
    observers = [],
    onOutput = () => {},
    heartbeatIntervalMs = DEFAULT_HEARTBEAT_INTERVAL_MS,
  }: ProcmanServiceOptions,
): ServiceImpl<typeof ProcmanService> {
  const begin = allObservers([(context) => startCallLog(context, logger), ...observers]);
  const answered =
    <Request, Response>(answer: (request: Request, context: HandlerContext) => Promise<Response>) =>
    async (request: Request, context: HandlerContext): Promise<Response> => {
      const end = begin(context);
      try {
        const response = await answer(request, context);
        end();
        return response;
      } catch (error) {
        const failure = encodeError(error, context.signal);
        end(failure);
        throw failure;
      }
    };

  const unary = <Request, Response>(
    answer: (request: Request, signal: AbortSignal) => Promise<Response>,
  ) => answered((request: Request, { signal }) => answer(request, signal));

  const streaming =
    <Request, Event, Response>(
      open: (request: Request, signal: AbortSignal) => AsyncIterable<Event>,
      encode: (event: Event) => Response,
    ) =>
    (request: Request, context: HandlerContext) =>
      serveStream({
        open: () => open(request, context.signal),
        encode,
        heartbeat: HEARTBEAT,
        heartbeatIntervalMs,
        signal: context.signal,
        onEnd: begin(context),
      });

  return {
    start: unary(async (request, signal) => ({
      job: encodeJob(await procman.start({ ...decodeStart(request), signal })),
    })),
    // The most frequent call, and answered at once: it does without a signal.
    get: answered(async (request) => {
      const { id, options } = decodeGet(request);
      return { job: encodeJob(await procman.get(id, options)) };
    }),
    list: unary(async (request, signal) =>
      encodePage(await procman.list({ ...decodeList(request), signal })),
    ),
    attach: streaming(
      (request, signal) => {
        const { id, options } = decodeAttach(request);
        // Every protocol has encoded an event when it asks for the next one.
        return procman.attach(id, { ...options, signal }, { transientData: true });
      },
      (event) => {
        if (event.type === "chunk") onOutput(event.data.length);
        return encodeAttachEvent(event);
      },
    ),
    readOutput: unary(async (request, signal) => {
      const { id, options } = decodeReadOutput(request);
      const output = await procman.readOutput(id, { ...options, signal });
      for (const { data } of output.parts) onOutput(data.length);
      return encodeBoundedOutput(output, request.text);
    }),
    watch: streaming(
      (request, signal) => {
        const { id, options } = decodeWatch(request);
        return procman.watch(id, { ...options, signal });
      },
      (event) => {
        if (event.type === "line") onOutput(Buffer.byteLength(event.text));
        return encodeWatchEvent(event);
      },
    ),
    wait: unary(async (request, signal) => {
      const { id, options } = decodeWait(request);
      return encodeWaited(await procman.wait(id, { ...options, signal }));
    }),
    watchJobs: streaming(
      (request, signal) =>
        splitSnapshots(procman.watchJobs({ ...decodeWatchJobs(request), signal })),
      encodeJobsEvent,
    ),
    signal: unary(async (request, callSignal) => {
      const { id, signal, options } = decodeSignal(request);
      const job = await procman.signal(id, signal, { ...options, signal: callSignal });
      return { job: encodeJob(job) };
    }),
    cancel: unary(async (request, signal) => {
      const { id, options } = decodeCancel(request);
      return { job: encodeJob(await procman.cancel(id, { ...options, signal })) };
    }),
    restart: unary(async (request, signal) => {
      const { id, options } = decodeRestart(request);
      return { job: encodeJob(await procman.restart(id, { ...options, signal })) };
    }),
    renewLease: unary(async (request, signal) => {
      const { id, options } = decodeRenewLease(request);
      return { job: encodeJob(await procman.renewLease(id, { ...options, signal })) };
    }),
    cancelJobs: unary(async (request, signal) => {
      const { selection, options } = decodeCancelJobs(request);
      return encodeResults(await procman.cancelJobs(selection, { ...options, signal }));
    }),
    signalJobs: unary(async (request, callSignal) => {
      const { selection, signal, options } = decodeSignalJobs(request);
      const all = { ...options, signal: callSignal };
      return encodeResults(await procman.signalJobs(selection, signal, all));
    }),
    removeJobs: unary(async (request, signal) => {
      const { selection, options } = decodeRemoveJobs(request);
      return encodeResults(await procman.removeJobs(selection, { ...options, signal }));
    }),
    sendInput: unary(async (request, signal) => {
      const { id, options } = decodeSendInput(request);
      return encodeInputPosition(await procman.sendInput(id, { ...options, signal }));
    }),
    resizeWindow: unary(async (request, signal) => {
      const { id, size } = decodeResizeWindow(request);
      return { job: encodeJob(await procman.resizeWindow(id, size, { signal })) };
    }),
    remove: unary(async (request, signal) => {
      const { id, options } = decodeRemove(request);
      await procman.remove(id, { ...options, signal });
      return {};
    }),
    cleanup: unary(async (request, signal) => {
      const options = { ...decodeCleanup(request), signal };
      const removedIds = [...(await procman.cleanup(options, MAX_REMOVALS))];
      return { removedIds, more: removedIds.length >= MAX_REMOVALS };
    }),
    refresh: unary(async (_request, signal) => encodeRefreshed(await procman.refresh({ signal }))),
  };
}
