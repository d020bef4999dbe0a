import type { JobSpec } from "../../contract/job.js";
import type { JobDir } from "../../core/job-dir.js";
import type { Engine, JobProcess, PreparedCommand } from "../../core/ports.js";
import { Ticker } from "../../platform/ticker.js";
import { leaveJobCgroup, sweepCgroups } from "./containment/cgroup.js";
import { LocalJobProcess, type SharedEngine } from "./local-job-process.js";
import { ProcessSurvey } from "./process/process-survey.js";
import { JobScripts } from "./runner/job-scripts.js";
import { prepareCommand } from "./runner/prepare-command.js";
import { StandbyRunner } from "./runner/standby-runner.js";

export interface LocalEngineOptions extends Partial<Pick<SharedEngine, "bareExit">> {
  readonly pollIntervalMs: number;
  /** For copies of the scripts that run jobs. Without it, the package must stay where it is. */
  readonly scriptCopiesDir?: string;
  /** Where the package has those scripts; absent: beside this module. */
  readonly packageDir?: string;
}

/** Runs commands as processes of this machine, each with a runner process as its parent. */
export class LocalEngine implements Engine {
  readonly #shared: SharedEngine;

  constructor(options: LocalEngineOptions) {
    const { pollIntervalMs, scriptCopiesDir, packageDir, bareExit = () => undefined } = options;
    const scripts = new JobScripts(scriptCopiesDir, packageDir);
    const programs = () => scripts.programs();
    this.#shared = {
      ticker: new Ticker(pollIntervalMs),
      standby: new StandbyRunner(programs),
      survey: new ProcessSurvey(),
      programs,
      bareExit,
    };
    leaveJobCgroup();
  }

  /** Deletes what earlier engines have left of jobs, once those have been looked at. */
  sweep(): void {
    sweepCgroups(false);
  }

  async prepare(spec: JobSpec): Promise<PreparedCommand> {
    const command = prepareCommand(spec);
    return { start: (dir) => LocalJobProcess.start(dir, command, this.#shared) };
  }

  open(dir: JobDir): JobProcess {
    return new LocalJobProcess(dir, this.#shared);
  }

  /** Lets go of what waits for the next Start. Jobs go on. */
  async close(): Promise<void> {
    await this.#shared.standby.close();
    sweepCgroups(true);
  }
}
