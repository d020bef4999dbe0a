import type { JobState } from "../../src/contract/job.js";
import type { JobRecord } from "../../src/core/ports.js";

/** A record with plain values, but for those given. */
export function someRecord(
  state: JobState = { status: "pending" },
  rest: Partial<Omit<JobRecord, "state" | "spec">> & { spec?: Partial<JobRecord["spec"]> } = {},
): JobRecord {
  return {
    sequence: 1,
    createdTime: new Date("2026-01-02T03:04:05.678Z"),
    ...rest,
    spec: {
      id: "job1",
      requestId: "",
      command: "true",
      args: [],
      env: {},
      clearEnv: false,
      workDir: "/",
      labels: {},
      mergeOutput: false,
      output: "file",
      pty: false,
      stdin: false,
      ...rest.spec,
    },
    state,
  };
}
