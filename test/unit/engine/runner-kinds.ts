import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { JobSpec } from "../../../src/contract/job.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { nativeInstructions } from "../../../src/engine/local/runner/native-runner.js";
import { BUILT_NATIVE_RUNNER, hasNativeRunner } from "../../helpers/native-runner.js";
import { someSpec } from "../../helpers/records.js";
import { shells } from "../../helpers/shells.js";

/** The boot that all of these runners are told. */
export const BOOT = "this-boot";

const RUNNER = join(import.meta.dirname, "../../../src/engine/local/runner.sh");

/** What a runner is to run. It is started in the job's directory. */
export interface RunnerJob {
  readonly dir: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Whether both outputs go to one log. */
  readonly merge: boolean;
}

/** How a runner is started. */
export interface RunnerStart {
  readonly words: [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** What it is told on its standard input. */
  readonly told: string;
}

export interface RunnerKind {
  readonly name: string;
  readonly isNative: boolean;
  /** Gives it a job, with the umask 027. */
  readonly start: (job: RunnerJob) => RunnerStart;
}

/** Each runner that there is: runner.sh under each shell, and the native one. */
export function runnerKinds(): RunnerKind[] {
  const kinds = shells().map(([name, shell]) => shellKind(name, shell));
  return hasNativeRunner() ? [...kinds, NATIVE] : kinds;
}

function shellKind(name: string, shell: string): RunnerKind {
  return {
    name,
    isNative: false,
    start: ({ dir, command, env, merge }) => {
      const stderr = join(dir, merge ? "stdout.log" : "stderr.log");
      // Its own words. A server that an upgrade finds running gives it these, and no others.
      return { words: [shell, RUNNER, dir, BOOT, "27", stderr, "", ...command], env, told: "" };
    },
  };
}

const NATIVE: RunnerKind = {
  name: "native",
  isNative: true,
  start: ({ dir, command, env, merge }) => ({
    words: [BUILT_NATIVE_RUNNER, BOOT],
    env: {},
    told: nativeMessage(dir, command, { env, merge }),
  }),
};

export interface NativeOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The environment as it is given; absent: `env`. */
  readonly envWords?: readonly string[];
  readonly merge?: boolean;
  /** The file to execute; absent: the one that the command names. */
  readonly file?: string;
  readonly spec?: Partial<JobSpec>;
  /** Whether PWD is to name the command's directory. */
  readonly inheritsPwd?: boolean;
  /** Where it is to go first. */
  readonly workDir?: string;
  /** The cgroup to make. */
  readonly cgroup?: string;
}

/** What a native runner is told of a job: unlike the engine's, its command may be missing. */
export function nativeMessage(
  dir: string,
  argv: readonly string[],
  options: NativeOptions = {},
): string {
  const { env = {}, envWords, merge = false, spec, inheritsPwd = true } = options;
  const { cgroup = "", workDir = "" } = options;
  const [command = ""] = argv;
  const prepared = {
    spec: someSpec({ umask: 0o027, mergeOutput: merge, ...spec }),
    file: options.file ?? (command.includes("/") ? command : pathOf(command)),
    argv,
    envWords: envWords ?? Object.entries(env).map(([name, value]) => `${name}=${value}`),
    inheritsPwd,
    runnerEnv: {},
    envScript: "",
    limitsScript: "",
    isLong: false,
  };
  return nativeInstructions(prepared, new JobDir(dir), cgroup, workDir);
}

function pathOf(command: string): string {
  const found = ["/bin", "/usr/bin"].map((bin) => join(bin, command)).find(existsSync);
  if (found === undefined) throw new Error(`this machine has no ${basename(command)}`);
  return found;
}
