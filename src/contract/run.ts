import { defined } from "../platform/defined.js";
import { Violations } from "./errors.js";
import {
  type BoundedOutput,
  endsFault,
  maxBytesFault,
  type Procman,
  type ReadOutputOptions,
  type StartOptions,
} from "./procman.js";

const DEFAULT_WAIT_MS = 30_000;

export interface RunOptions extends StartOptions, Pick<ReadOutputOptions, "maxBytes" | "ends"> {
  /** How long to wait for the job's end. Default 30 000. */
  readonly waitMs?: number;
}

/**
 * Starts a command, waits for its end for a time, and returns the job and its output, all
 * of it or a bounded part. A job that has not ended by then goes on: `wait`, `readOutput`
 * from the next offsets and `cancel` come back to it by its id.
 *
 * Its caller's signal ends the waiting, not the job; whoever needs the job's id then starts
 * it with `start`.
 * @throws what `start` throws; ProcmanError INVALID_ARGUMENT, before anything is started
 */
export async function run(procman: Procman, options: RunOptions): Promise<BoundedOutput> {
  checkOutputOptions(options);
  const { waitMs: timeoutMs = DEFAULT_WAIT_MS, maxBytes, ends, ...start } = options;
  const { id } = await procman.start(start);
  const call = defined({ signal: start.signal });
  await procman.wait(id, { timeoutMs, ...call });
  return procman.readOutput(id, { ...defined({ maxBytes, ends }), ...call });
}

/** What comes after the start would find it wrong too late. */
function checkOutputOptions({ waitMs = 0, maxBytes = 0, ends = "both" }: RunOptions): void {
  const violations = new Violations();
  if (!(waitMs >= 0)) violations.add("waitMs", "must not be negative");
  for (const [field, fault] of [
    ["maxBytes", maxBytesFault(maxBytes)],
    ["ends", endsFault(ends)],
  ] as const) {
    if (fault !== undefined) violations.add(field, fault);
  }
  violations.throwIfAny();
}
