import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type { StartRequest, StartRequestSchema } from "../../gen/procman/v1/procman_pb.js";
import type { StartOptions } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { IF_RUNNING, OUTPUT } from "./enums.js";
import { decodeOnEnd, encodeOnEnd } from "./on-end.js";
import {
  decodeRequestedDuration,
  decodeRequest,
  decodeNotNegative,
  decodeLimits,
  decodeSoftLimits,
  decodeWindowSize,
  encodeRequestedDuration,
  decodeUmask,
  encodeInt32,
  encodeInt64,
  encodeLimits,
  encodeSoftLimits,
  encodeUmask,
  encodeWindowSize,
} from "./fields.js";

export function encodeStart(options: StartOptions): Init<typeof StartRequestSchema> {
  const { windowSize, ifRunning, output, umask, nice, softLimits = {}, limits } = options;
  const { onEnd } = options;
  return {
    command: options.command,
    args: [...(options.args ?? [])],
    env: { ...options.env },
    clearEnv: options.clearEnv ?? false,
    workDir: options.workDir ?? "",
    labels: { ...options.labels },
    requestId: options.requestId ?? "",
    name: options.name ?? "",
    mergeOutput: options.mergeOutput ?? false,
    logLimitBytes: encodeInt64("log_limit_bytes", options.logLimitBytes ?? 0),
    pty: options.pty ?? false,
    stdin: options.stdin ?? false,
    umask: encodeUmask(umask),
    softLimits: encodeSoftLimits(softLimits),
    endRemaining: options.endRemaining ?? false,
    ...defined({
      output: output && OUTPUT.encodeRequested("output", output),
      nice: nice === undefined ? undefined : encodeInt32("nice", nice),
      timeout: encodeRequestedDuration("timeout", options.timeoutMs),
      lease: encodeRequestedDuration("lease", options.leaseMs),
      windowSize: windowSize && encodeWindowSize(windowSize),
      limits: limits && encodeLimits(limits),
      ifRunning: ifRunning && IF_RUNNING.encodeRequested("if_running", ifRunning),
      onEnd: onEnd && encodeOnEnd(onEnd),
    }),
  };
}

export function decodeStart(request: StartRequest): StartOptions {
  const { command, args, env, clearEnv, workDir, labels, requestId, mergeOutput } = request;
  const { timeout, logLimitBytes, output, pty, windowSize, stdin, name, ifRunning } = request;
  const { umask, nice, softLimits, limits, endRemaining, lease, onEnd } = request;
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
      endRemaining: endRemaining || undefined,
      onEnd: onEnd && decodeOnEnd(onEnd, violations),
      workDir: workDir || undefined,
      requestId: requestId || undefined,
      name: name || undefined,
      ifRunning: IF_RUNNING.decodeRequested("if_running", ifRunning, violations),
      output: OUTPUT.decodeRequested("output", output, violations),
      timeoutMs: decodeRequestedDuration("timeout", timeout, violations),
      leaseMs: decodeRequestedDuration("lease", lease, violations),
      logLimitBytes: decodeNotNegative("log_limit_bytes", logLimitBytes, violations) || undefined,
      windowSize: windowSize && decodeWindowSize(windowSize),
      umask: decodeUmask(umask, violations),
      nice,
      softLimits: decodeSoftLimits(softLimits),
      limits: decodeLimits(limits),
    }),
  }));
}
