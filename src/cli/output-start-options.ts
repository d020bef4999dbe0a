import type { OutputStart } from "../contract/procman.js";
import type { Stream } from "../contract/job.js";

/** The options that say where in a job's output to begin. */
export interface OutputStartOptions {
  readonly tail?: number;
  readonly stdoutOffset?: number;
  readonly stderrOffset?: number;
  readonly stream?: readonly Stream[];
}

export function outputStart(options: OutputStartOptions): OutputStart {
  const { tail, stdoutOffset, stderrOffset, stream } = options;
  return {
    ...(tail === undefined ? {} : { tailLines: tail }),
    ...(stdoutOffset === undefined ? {} : { stdoutOffset }),
    ...(stderrOffset === undefined ? {} : { stderrOffset }),
    ...(stream === undefined ? {} : { streams: stream }),
  };
}
