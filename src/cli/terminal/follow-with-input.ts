import type { AttachOptions, Procman } from "../../contract/procman.js";
import type { Job } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import type { DetachKey } from "./detach-key.js";
import {
  copyOutput,
  type Followed,
  untilInterrupted,
  type WayBack,
} from "../commands/follow-job.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { canInteract, interact } from "./interact.js";
import { type PumpOptions, pumpInput, whilePumping } from "./pump-input.js";

export interface FollowWithInputOptions extends Omit<AttachOptions, "follow" | "signal"> {
  readonly json: boolean;
  /** What sends the bytes that are no keys, and whether their end closes the job's input. */
  readonly bytes: Pick<PumpOptions, "sender" | "close">;
  readonly detachKey: DetachKey;
  /** Have what runs in the job's terminal draw anew. */
  readonly redraw: boolean;
}

/**
 * Follows a job to its end and gives it this process's stdin: key by key where
 * both have a terminal, else as bytes.
 */
export async function followWithInput(
  client: Procman,
  job: Job,
  { detachKey, redraw, bytes, ...attach }: FollowWithInputOptions,
  interruption: AbortSignal,
  way: Omit<WayBack, "id">,
  cli: Cli,
): Promise<Followed> {
  const { id } = job;
  const back = { ...way, id, attachOption: " -i" };
  if (attach.json || !canInteract(job, cli)) {
    const pump = (signal: AbortSignal) =>
      pumpInput(client, id, (signal) => cli.stdin.pieces(signal), { ...bytes, signal });
    const copy = (signal: AbortSignal) =>
      copyOutput(client, id, { ...attach, follow: true, signal }, cli);
    const follow = (signal: AbortSignal) => whilePumping(pump, copy, signal);
    return untilInterrupted(follow, interruption, back, cli);
  }
  const detached = createLinkedAbortController(interruption);
  const onDetach = () => detached.abort();
  const { tailLines } = attach;
  const tail = tailLines === undefined ? {} : { tailLines };
  const options = { ...tail, detachKey, onDetach, redraw };
  const follow = (signal: AbortSignal) => interact(client, id, { ...options, signal }, cli);
  return untilInterrupted(follow, detached.signal, back, cli);
}
