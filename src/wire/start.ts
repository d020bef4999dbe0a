import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type { StartRequest, StartRequestSchema } from "../../gen/procman/v1/procman_pb.js";
import type { StartOptions } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import {
  decodeRequestedDuration,
  decodeRequest,
  decodeNotNegative,
  decodeWindowSize,
  encodeRequestedDuration,
  encodeInt64,
  encodeWindowSize,
} from "./fields.js";

export function encodeStart(options: StartOptions): Init<typeof StartRequestSchema> {
  const { windowSize } = options;
  return {
    command: options.command,
    args: [...(options.args ?? [])],
    env: { ...options.env },
    clearEnv: options.clearEnv ?? false,
    workDir: options.workDir ?? "",
    labels: { ...options.labels },
    requestId: options.requestId ?? "",
    mergeOutput: options.mergeOutput ?? false,
    logLimitBytes: encodeInt64("log_limit_bytes", options.logLimitBytes ?? 0),
    pty: options.pty ?? false,
    stdin: options.stdin ?? false,
    ...defined({
      timeout: encodeRequestedDuration("timeout", options.timeoutMs),
      windowSize: windowSize && encodeWindowSize(windowSize),
    }),
  };
}

export function decodeStart(request: StartRequest): StartOptions {
  const { command, args, env, clearEnv, workDir, labels, requestId, mergeOutput } = request;
  const { timeout, logLimitBytes, pty, windowSize, stdin } = request;
  return decodeRequest((violations) => ({
    command,
    args,
    env,
    clearEnv,
    labels,
    mergeOutput,
    pty,
    stdin,
    ...defined({
      workDir: workDir || undefined,
      requestId: requestId || undefined,
      timeoutMs: decodeRequestedDuration("timeout", timeout, violations),
      logLimitBytes: decodeNotNegative("log_limit_bytes", logLimitBytes, violations) || undefined,
      windowSize: windowSize && decodeWindowSize(windowSize),
    }),
  }));
}
