import { setMaxListeners } from "node:events";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import type { ServedProcman } from "../core/served-procman.js";
import {
  decodeAttach,
  decodeCancel,
  decodeCleanup,
  decodeId,
  decodeList,
  decodeResizeWindow,
  decodeSendInput,
  decodeSignal,
  decodeStart,
  decodeWait,
  decodeWatch,
  decodeWatchJobs,
} from "../wire/decode-request.js";
import { createLinkedAbortController, withLinkedSignal } from "../platform/abort-signals.js";
import { encodeAttachEvent, encodeJobsEvent, encodeWatchEvent, HEARTBEAT } from "../wire/output.js";
import { encodeJob } from "../wire/job.js";
import { encodeWaited } from "../wire/wait.js";
import { toConnectError } from "../wire/error-map.js";
import { withHeartbeats } from "./with-heartbeats.js";

const DEFAULT_HEARTBEAT_INTERVAL_MS = 15_000;

export interface ProcmanServiceOptions {
  /** How long a stream may be silent before a heartbeat is sent. Default 15 000. */
  readonly heartbeatIntervalMs?: number;
  /**
   * Aborted with a ProcmanError SHUTTING_DOWN when the server closes: streams and
   * calls that wait for a job end with it, so that clients come back later.
   */
  readonly closing: AbortSignal;
}

/** The RPCs, for every protocol: decode, ask `procman`, encode. */
export function createProcmanService(
  procman: ServedProcman,
  options: ProcmanServiceOptions,
): ServiceImpl<typeof ProcmanService> {
  const { closing, heartbeatIntervalMs = DEFAULT_HEARTBEAT_INTERVAL_MS } = options;
  // Every call that waits listens to it.
  setMaxListeners(0, closing);

  /** A call that does something and answers; closing lets it finish. */
  const unary =
    <Request, Response>(answer: (request: Request, signal: AbortSignal) => Promise<Response>) =>
    async (request: Request, { signal }: Pick<HandlerContext, "signal">): Promise<Response> => {
      try {
        return await answer(request, signal);
      } catch (error) {
        throw toConnectError(error, signal);
      }
    };

  /** A call that answers when something has happened, which may be never. */
  const waiting = <Request, Response>(
    answer: (request: Request, signal: AbortSignal) => Promise<Response>,
  ) => {
    const call = unary(answer);
    return (request: Request, context: HandlerContext): Promise<Response> =>
      withLinkedSignal([context.signal, closing], (signal) => call(request, { signal }));
  };

  const streaming = <Request, Event, Response>(
    open: (request: Request, signal: AbortSignal) => AsyncIterable<Event>,
    encode: (event: Event) => Response,
  ) =>
    async function* (request: Request, context: HandlerContext) {
      const controller = createLinkedAbortController(context.signal, closing);
      const { signal } = controller;
      try {
        const events = open(request, signal);
        const beat = () => undefined;
        for await (const event of withHeartbeats(events, heartbeatIntervalMs, beat, signal)) {
          yield event === undefined ? HEARTBEAT : encode(event);
        }
      } catch (error) {
        throw toConnectError(error, signal);
      } finally {
        controller.abort();
      }
    };

  return {
    start: unary(async (request, signal) => ({
      job: encodeJob(await procman.start({ ...decodeStart(request), signal })),
    })),
    get: unary(async (request, signal) => ({
      job: encodeJob(
        await procman.get(decodeId(request), { signal, includeEnv: request.includeEnv }),
      ),
    })),
    list: unary(async (request, signal) => {
      const page = await procman.list({ ...decodeList(request), signal });
      const { nextPageToken, totalSize } = page;
      return { jobs: page.jobs.map(encodeJob), nextPageToken, totalSize };
    }),
    attach: streaming((request, signal) => {
      const { id, options } = decodeAttach(request);
      // Every protocol has encoded an event when it asks for the next one.
      return procman.attach(id, { ...options, signal }, { transientData: true });
    }, encodeAttachEvent),
    watch: streaming((request, signal) => {
      const { id, options } = decodeWatch(request);
      return procman.watch(id, { ...options, signal });
    }, encodeWatchEvent),
    wait: waiting(async (request, signal) => {
      const { id, options } = decodeWait(request);
      return encodeWaited(await procman.wait(id, { ...options, signal }));
    }),
    watchJobs: streaming(
      (request, signal) => procman.watchJobs({ ...decodeWatchJobs(request), signal }),
      encodeJobsEvent,
    ),
    signal: unary(async (request, callSignal) => {
      const { id, signal } = decodeSignal(request);
      return { job: encodeJob(await procman.signal(id, signal, { signal: callSignal })) };
    }),
    cancel: waiting(async (request, signal) => {
      const { id, options } = decodeCancel(request);
      return { job: encodeJob(await procman.cancel(id, { ...options, signal })) };
    }),
    sendInput: waiting(async (request, signal) => {
      const { id, options } = decodeSendInput(request);
      const { nextOffset } = await procman.sendInput(id, { ...options, signal });
      return { nextOffset: BigInt(nextOffset) };
    }),
    resizeWindow: unary(async (request, signal) => {
      const { id, size } = decodeResizeWindow(request);
      return { job: encodeJob(await procman.resizeWindow(id, size, { signal })) };
    }),
    remove: unary(async (request, signal) => {
      await procman.remove(decodeId(request), { signal });
      return {};
    }),
    cleanup: unary(async (request, signal) => ({
      removedIds: [...(await procman.cleanup({ ...decodeCleanup(request), signal }))],
    })),
    refresh: unary(async (_request, signal) => ({
      jobs: (await procman.refresh({ signal })).map(encodeJob),
    })),
  };
}
