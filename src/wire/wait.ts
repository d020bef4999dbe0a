import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WaitResponseSchema } from "../../gen/procman/v1/procman_pb.js";
import type { WaitedJob } from "../contract/procman.js";
import { encodeLine } from "./output.js";
import { encodeJob } from "./job.js";

export type WaitResponseInit = MessageInitShape<typeof WaitResponseSchema>;

export function encodeWaited(waited: WaitedJob): WaitResponseInit {
  const job = encodeJob(waited);
  const { outcome } = waited;
  if (!outcome) return { job };
  switch (outcome.type) {
    case "line":
      return { job, outcome: { case: "line", value: encodeLine(outcome.line) } };
    case "port":
      return { job, outcome: { case: "port", value: outcome.port } };
    case "searched": {
      const value = {
        stdoutOffset: BigInt(outcome.stdoutOffset),
        stderrOffset: BigInt(outcome.stderrOffset),
      };
      return { job, outcome: { case: "searched", value } };
    }
  }
}
