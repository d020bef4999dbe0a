import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import type { ServerNotification, ServerRequest } from "@modelcontextprotocol/sdk/types.js";
import type { Job } from "../contract/job.js";
import type { WaitedJob, WaitUntil } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { Ticker } from "../platform/ticker.js";
import { lastLine } from "./plain-text.js";
import type { ProcmanConnection } from "./procman-connection.js";

/** What the SDK hands to a tool: the call's signal, its progress token, and how to notify. */
export type ToolCall = RequestHandlerExtra<ServerRequest, ServerNotification>;

const PROGRESS_INTERVAL_MS = 1000;
const MAX_PROGRESS_CHARS = 200;
/** Where the last line of output is looked for. */
const TAIL_BYTES = 1024;

/**
 * Waits as `Procman.wait` does, also over a restart of procman's server, and tells the
 * caller meanwhile how the job is, where it wants to know. Ends with the call; the job goes on.
 */
export async function waitWithProgress(
  connection: ProcmanConnection,
  id: string,
  waitMs: number,
  call: ToolCall,
  until?: WaitUntil,
): Promise<WaitedJob> {
  const { signal } = call;
  const deadline = performance.now() + waitMs;
  const stop = notifyProgress(connection, id, call);
  try {
    return await connection.retrySafe((client) => {
      const timeoutMs = Math.max(0, Math.round(deadline - performance.now()));
      return client.wait(id, { timeoutMs, signal, ...defined({ until }) });
    }, signal);
  } finally {
    stop();
  }
}

/** @returns how to stop it */
function notifyProgress(connection: ProcmanConnection, id: string, call: ToolCall): () => void {
  const progressToken = call._meta?.progressToken;
  if (progressToken === undefined) return () => {};
  const sinceMs = performance.now();
  let isLooking = false;
  let isOver = false;
  const notify = async () => {
    if (isLooking) return;
    isLooking = true;
    try {
      const message = await progressMessage(connection, id, call.signal);
      if (isOver || call.signal.aborted) return;
      // Per cent may go back, which is not allowed here: what always grows is the time.
      const progress = Math.round(performance.now() - sinceMs) / 1000;
      const params = { progressToken, progress, message };
      await call.sendNotification({ method: "notifications/progress", params });
    } finally {
      isLooking = false;
    }
  };
  const stop = new Ticker(PROGRESS_INTERVAL_MS).add(() => {
    // What is wrong with the connection, the wait finds as well.
    notify().catch(() => {});
  });
  return () => {
    isOver = true;
    stop();
  };
}

async function progressMessage(
  connection: ProcmanConnection,
  id: string,
  signal: AbortSignal,
): Promise<string> {
  const { job, parts } = await connection.once((client) =>
    client.readOutput(id, { maxBytes: TAIL_BYTES, ends: "tail", signal }),
  );
  const decoder = new TextDecoder();
  const tail = parts.map(({ data }) => decoder.decode(data)).join("\n");
  const said = job.progress?.text ?? tail;
  return [job.status, percentText(job), lastLine(said, MAX_PROGRESS_CHARS)]
    .filter((piece) => piece !== "")
    .join(" ");
}

function percentText({ progress }: Job): string {
  return progress?.percent === undefined ? "" : `${Math.floor(progress.percent)}%`;
}
