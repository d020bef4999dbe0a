import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  OnEnd as ProtoOnEnd,
  OnEndResult as ProtoOnEndResult,
  OnEndResultSchema,
  OnEndSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Violations } from "../contract/errors.js";
import type { OnEnd, OnEndResult } from "../contract/job.js";
import type { RequestedOnEnd } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { decodeRequestedDuration, encodeRequestedDuration, encodeTime } from "./fields.js";

/* What is run at a job's end, and what became of it. */

export function encodeOnEnd({
  command,
  args = [],
  timeoutMs,
}: RequestedOnEnd): Init<typeof OnEndSchema> {
  const timeout = encodeRequestedDuration("on_end.timeout", timeoutMs);
  return { command, args: [...args], ...defined({ timeout }) };
}

export function decodeOnEnd(
  { command, args, timeout }: ProtoOnEnd,
  violations: Violations,
): RequestedOnEnd {
  const timeoutMs = decodeRequestedDuration("on_end.timeout", timeout, violations);
  return { command, args, ...defined({ timeoutMs }) };
}

/** Of a job. */
export function decodeJobOnEnd({ command, args, timeout }: ProtoOnEnd): OnEnd {
  return { command, args, timeoutMs: timeout ? durationMs(timeout) : 0 };
}

export function encodeOnEndResult(result: OnEndResult): Init<typeof OnEndResultSchema> {
  const { startedTime, completedTime, exitCode, error = "", output } = result;
  const times = { startedTime: encodeTime(startedTime), completedTime: encodeTime(completedTime) };
  return { error, output, ...defined({ ...times, exitCode }) };
}

export function decodeOnEndResult(result: ProtoOnEndResult): OnEndResult {
  const { startedTime, completedTime, exitCode, error, output } = result;
  return {
    output,
    ...defined({
      startedTime: startedTime && timestampDate(startedTime),
      completedTime: completedTime && timestampDate(completedTime),
      exitCode,
      error: error || undefined,
    }),
  };
}
