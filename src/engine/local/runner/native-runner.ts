import { basename } from "node:path";
import type { JobSpec } from "../../../contract/job.js";
import type { JobDir } from "../../../core/job-dir.js";
import { processTable } from "../process/processes.js";
import type { LocalCommand } from "./prepare-command.js";
import { softLimitNumbers } from "./process-attributes.js";
import { UMASK, type Words } from "./runner-command.js";

/*
 * runner.c is a runner that needs no shell, and a fifth of its time. It is there where the
 * package was built with a C compiler, on Linux. It gives the command its environment
 * itself, so it needs nothing of what is done for a shell's sake.
 */

/** Its file among the scripts. */
export const NATIVE_RUNNER = `runner-${process.platform}-${process.arch}`;

/** The first word of what it is told. Another version's runner ends, and a shell runs the job. */
const VERSION = "procman 1";

/** Whether it can run a job. It knows files as output, and no limits by cgroups. */
export function isForNativeRunner({ pty, stdin, output, onEnd, limits }: JobSpec): boolean {
  return !pty && !stdin && output === "file" && !onEnd && !limits;
}

export function nativeRunner(path: string): Words {
  return [path, processTable().bootId()];
}

/**
 * Returns what it is told: words, each with a byte 0 at its end. Cut short, it is no job, and
 * the runner ends.
 * @param cgroup the directory of the cgroup that it is to make for the command, or ""
 * @param workDir where it is to go first; "": it is there
 */
export function nativeInstructions(
  command: LocalCommand,
  dir: JobDir,
  cgroup: string,
  workDir: string,
): string {
  const { spec, file, argv, envWords, inheritsPwd } = command;
  const limits = softLimitNumbers(spec);
  const words = [
    VERSION,
    dir.path,
    cgroup,
    workDir,
    basename(dir.log(spec.mergeOutput ? "stdout" : "stderr")),
    String(spec.umask ?? UMASK),
    // Not what is to be added to this process's: another thread may have another niceness.
    spec.nice === undefined ? "" : String(spec.nice),
    inheritsPwd ? "1" : "0",
    ...counted(limits.flatMap(([resource, soft]) => [String(resource), soft])),
    file,
    ...counted(argv),
    ...counted(envWords),
    "end",
    "",
  ];
  return words.join("\0");
}

function counted(words: readonly string[]): string[] {
  return [String(words.length), ...words];
}
