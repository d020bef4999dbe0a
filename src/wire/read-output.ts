import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import type {
  ReadOutputRequest,
  ReadOutputRequestSchema,
  ReadOutputResponse,
  ReadOutputResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { BoundedOutput, ReadOutputOptions } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { OUTPUT_ENDS, STREAM } from "./enums.js";
import { decodeJobRequest, decodeNotNegative, encodeInt32 } from "./fields.js";
import { decodeJob, encodeJob } from "./job.js";
import {
  decodeOutputStart,
  decodePeriod,
  decodeWritten,
  encodeOutputStart,
  encodePeriod,
  encodeWritten,
  knownStream,
} from "./output.js";

export function encodeReadOutput(
  id: string,
  { maxBytes = 0, ends, ...start }: Omit<ReadOutputOptions, "signal">,
): Init<typeof ReadOutputRequestSchema> {
  return {
    id,
    ...encodeOutputStart(start),
    ...encodePeriod(start),
    maxBytes: encodeInt32("max_bytes", maxBytes),
    ...(ends !== undefined && { ends: OUTPUT_ENDS.encodeRequested("ends", ends) }),
  };
}

export function decodeReadOutput(request: ReadOutputRequest) {
  const { streams, stdoutOffset, stderrOffset, maxBytes, ends } = request;
  return decodeJobRequest(
    request,
    (violations): ReadOutputOptions => ({
      ...decodeOutputStart({ streams, stdoutOffset, stderrOffset }, violations),
      ...decodePeriod(request, violations),
      maxBytes: decodeNotNegative("max_bytes", maxBytes, violations),
      ...defined({ ends: OUTPUT_ENDS.decodeRequested("ends", ends, violations) }),
    }),
  );
}

/** @param asText whether the request has asked for text in place of bytes */
export function encodeBoundedOutput(
  { job, parts, stdoutNextOffset, stderrNextOffset }: BoundedOutput,
  asText: boolean,
): Init<typeof ReadOutputResponseSchema> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    job: encodeJob(job),
    parts: parts.map(({ stream, offset, data, omittedBytes, writtenBetween }) => ({
      stream: STREAM.encode(stream),
      offset: BigInt(offset),
      omittedBytes: BigInt(omittedBytes),
      ...defined({ writtenBetween: encodeWritten(writtenBetween) }),
      ...(asText ? { text: decoder.decode(data) } : { data }),
    })),
    stdoutNextOffset: BigInt(stdoutNextOffset),
    stderrNextOffset: BigInt(stderrNextOffset),
  };
}

/** Decodes the answer to a request for bytes. */
export function decodeBoundedOutput(response: ReadOutputResponse): BoundedOutput {
  const { job, parts, stdoutNextOffset, stderrNextOffset } = response;
  return {
    job: decodeJob(job),
    parts: parts.map(({ stream, offset, data, omittedBytes, writtenBetween }) => ({
      stream: knownStream(stream),
      offset: Number(offset),
      data,
      omittedBytes: Number(omittedBytes),
      ...defined({ writtenBetween: decodeWritten(writtenBetween) }),
    })),
    stdoutNextOffset: Number(stdoutNextOffset),
    stderrNextOffset: Number(stderrNextOffset),
  };
}
