import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type {
  WaitRequest,
  WaitRequestSchema,
  WaitResponse,
  WaitResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Violations } from "../contract/errors.js";
import type { WaitedJob, WaitOptions, WaitOutcome, WaitUntil } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import {
  decodeRequestedDuration,
  decodeNotNegative,
  decodeJobRequest,
  encodeRequestedDuration,
  encodeInt32,
  type JobRequest,
} from "./fields.js";
import { decodeJob, encodeJob } from "./job.js";
import {
  decodeLine,
  decodeOutputStart,
  decodeSearched,
  encodeLine,
  encodeOutputStart,
  encodeSearched,
} from "./output.js";

type UntilInit = NonNullable<Init<typeof WaitRequestSchema>["until"]>;
type OutcomeInit = NonNullable<Init<typeof WaitResponseSchema>["outcome"]>;

export function encodeWait(
  id: string,
  { timeoutMs, until }: WaitOptions,
): Init<typeof WaitRequestSchema> {
  const timeout = encodeRequestedDuration("timeout", timeoutMs);
  return { id, ...defined({ timeout, until: until && encodeUntil(until) }) };
}

export function decodeWait(request: WaitRequest): JobRequest<WaitOptions> {
  return decodeJobRequest(request, (violations) =>
    defined({
      timeoutMs: decodeRequestedDuration("timeout", request.timeout, violations),
      until: decodeUntil(request.until, violations),
    }),
  );
}

function encodeUntil(until: WaitUntil): UntilInit {
  switch (until.type) {
    case "output": {
      const { pattern } = until;
      return { case: "output", value: { pattern, ...encodeOutputStart(until, "output.") } };
    }
    case "port":
      return { case: "port", value: encodeInt32("port", until.port) };
    case "no-remaining":
      return { case: "noRemaining", value: true };
  }
}

function decodeUntil(until: WaitRequest["until"], violations: Violations): WaitUntil | undefined {
  switch (until.case) {
    case "output": {
      const start = decodeOutputStart(until.value, violations, "output.");
      return { type: "output", pattern: until.value.pattern, ...start };
    }
    case "port":
      return { type: "port", port: decodeNotNegative("port", until.value, violations) };
    case "noRemaining":
      if (!until.value) violations.add("no_remaining", "must be true");
      return { type: "no-remaining" };
    case undefined:
      return undefined;
  }
}

export function encodeWaited(waited: WaitedJob): Init<typeof WaitResponseSchema> {
  const { outcome } = waited;
  return { job: encodeJob(waited), ...defined({ outcome: outcome && encodeOutcome(outcome) }) };
}

export function decodeWaited({ job, outcome }: WaitResponse): WaitedJob {
  return { ...decodeJob(job), ...defined({ outcome: decodeOutcome(outcome) }) };
}

function encodeOutcome(outcome: WaitOutcome): OutcomeInit {
  switch (outcome.type) {
    case "line":
      return { case: "line", value: encodeLine(outcome.line) };
    case "port":
      return { case: "port", value: outcome.port };
    case "searched":
      return { case: "searched", value: encodeSearched(outcome) };
  }
}

function decodeOutcome(outcome: WaitResponse["outcome"]): WaitOutcome | undefined {
  switch (outcome.case) {
    case "line":
      return { type: "line", line: decodeLine(outcome.value) };
    case "port":
      return { type: "port", port: outcome.value };
    case "searched":
      return { type: "searched", ...decodeSearched(outcome.value) };
    case undefined:
      return undefined;
  }
}
