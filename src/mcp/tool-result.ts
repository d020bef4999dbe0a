import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { type ErrorReason, isProcmanError } from "../contract/errors.js";
import { plainText } from "./plain-text.js";

export function toolResult(structuredContent: object, text: string): CallToolResult {
  return {
    content: [{ type: "text", text }],
    structuredContent: structuredContent as Record<string, unknown>,
  };
}

/** What tools call the API's fields, where they have other names. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  timeout: "timeout_seconds",
  lease: "lease_seconds",
  grace_period: "grace_seconds",
  "output.pattern": "for_output",
  "output.stdout_offset": "stdout_offset",
  "output.stderr_offset": "stderr_offset",
  port: "for_port",
  data: "text",
};

/** What to do about an error. */
const ADVICE: Partial<Record<ErrorReason, string>> = {
  JOB_NOT_FOUND: "list shows the jobs there are. remove takes an id, not a name.",
  JOB_NOT_RUNNING: "It has ended: output shows what it has written, restart starts it again.",
  JOB_RUNNING: "cancel it first, or call remove with cancel: true.",
  JOB_HAS_PROCESSES:
    "End these by cancel with include_remaining, or call remove with cancel: true.",
  NAME_IN_USE:
    'A job of that name runs. Start with if_running "return" to get that one, restart it, or cancel it first.',
  REQUEST_ID_CONFLICT: "Take another request_id, or repeat the very same request.",
  INPUT_NOT_OPEN: "Only a job that was started with stdin: true takes input, until that is closed.",
  INPUT_BACKLOG: "The job does not read its input now. Try again later.",
  UNREACHABLE:
    "Jobs go on without the server. If the call was to change something, get tells whether it did.",
  OFFSET_OUT_OF_RANGE: "get tells how much output there is: stdout_bytes, stderr_bytes.",
};

/** Returns what tells a model why its call failed, and what it can do. */
export function toolError(error: unknown): CallToolResult {
  if (!isProcmanError(error)) {
    return failed(error instanceof Error ? error.message : String(error));
  }
  const { reason, message, violations, jobId } = error;
  const fields = violations.map(({ field, description }) => ({
    field: ARGUMENTS[field] ?? field,
    description,
  }));
  const isAboutFields = reason === "INVALID_ARGUMENT" && fields.length > 0;
  const text = isAboutFields
    ? fields.map(({ field, description }) => `${field}: ${description}`).join("; ")
    : message;
  const advice = ADVICE[reason];
  const whole = `${reason}: ${text}${advice === undefined ? "" : `\n${advice}`}`;
  return {
    ...failed(whole),
    _meta: { reason, violations: fields, ...(jobId && { job_id: jobId }) },
  };
}

function failed(text: string): CallToolResult {
  return { isError: true, content: [{ type: "text", text: plainText(text) }] };
}
