import type { JobSpec } from "../../contract/job.js";
import type { JobDir } from "../../core/job-dir.js";
import type { Engine, JobProcess, PreparedCommand } from "../../core/ports.js";
import { Ticker } from "../../platform/ticker.js";
import { leaveJobCgroup } from "./containment/cgroup.js";
import { LocalJobProcess } from "./local-job-process.js";
import { prepareCommand } from "./runner/prepare-command.js";

/** Runs commands as processes of this machine, each with a runner process as its parent. */
export class LocalEngine implements Engine {
  readonly #ticker: Ticker;

  constructor(options: { readonly pollIntervalMs: number }) {
    this.#ticker = new Ticker(options.pollIntervalMs);
    leaveJobCgroup();
  }

  async prepare(spec: JobSpec): Promise<PreparedCommand> {
    const command = await prepareCommand(spec);
    return { start: (dir) => LocalJobProcess.start(dir, command, this.#ticker) };
  }

  open(dir: JobDir): JobProcess {
    return new LocalJobProcess(dir, this.#ticker);
  }
}
