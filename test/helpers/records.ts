import type { JobSpec, JobState } from "../../src/contract/job.js";
import type { JobRecord } from "../../src/core/ports.js";

/** What a job is to be: plain values, but for those given. */
export function someSpec(rest: Partial<JobSpec> = {}): JobSpec {
  return {
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
    ...rest,
  };
}

/** A record with plain values, but for those given. */
export function someRecord(
  state: JobState = { status: "pending" },
  rest: Partial<Omit<JobRecord, "state" | "spec">> & { spec?: Partial<JobRecord["spec"]> } = {},
): JobRecord {
  return {
    sequence: 1,
    createdTime: new Date("2026-01-02T03:04:05.678Z"),
    ...rest,
    spec: someSpec(rest.spec),
    state,
  };
}
