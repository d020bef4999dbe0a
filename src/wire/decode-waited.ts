import type { WaitResponse } from "../../gen/procman/v1/procman_pb.js";
import type { WaitedJob, WaitOutcome } from "../contract/procman.js";
import { decodeLine } from "./decode-event.js";
import { decodeJob } from "./decode-job.js";

export function decodeWaited({ job, outcome }: WaitResponse): WaitedJob {
  const decoded = decodeOutcome(outcome);
  return { ...decodeJob(job), ...(decoded ? { outcome: decoded } : {}) };
}

function decodeOutcome(outcome: WaitResponse["outcome"]): WaitOutcome | undefined {
  switch (outcome.case) {
    case "line":
      return { type: "line", line: decodeLine(outcome.value) };
    case "port":
      return { type: "port", port: outcome.value };
    case "searched": {
      const { stdoutOffset, stderrOffset } = outcome.value;
      return {
        type: "searched",
        stdoutOffset: Number(stdoutOffset),
        stderrOffset: Number(stderrOffset),
      };
    }
    case undefined:
      return undefined;
  }
}
