import { type ChildProcess, spawn } from "node:child_process";
import { getPriority, setPriority } from "node:os";
import { withoutInherited } from "../platform/inherited-descriptors.js";
import {
  type Resource,
  type ResourceLimits,
  resourceLimits,
  setSoftLimits,
} from "../platform/resource-limits.js";

const UMASK = 0o022;

/** The others are their hard limits; of open files Node takes that for itself. */
const SOFT_LIMITS: Readonly<Partial<Record<Resource, number>>> = {
  core: 0,
  stack: 8 * 1024 * 1024,
};

export interface NeutralProcess {
  readonly child: ChildProcess;
  /** The niceness that it has kept, since this process may not lower it; 0 otherwise. */
  readonly niceness: number;
}

/**
 * Starts a program that serves others than whoever starts it: in a session of its own,
 * which neither Ctrl-C nor the terminal's hangup reaches, and with the umask, niceness and
 * soft limits of a shell in which nobody has changed them.
 * @param output a descriptor for what it writes
 */
export function spawnNeutral(
  words: readonly [string, ...string[]],
  { cwd, output }: { readonly cwd: string; readonly output: number },
): NeutralProcess {
  const umask = process.umask(UMASK);
  try {
    const [program, ...args] = withNeutralLimits(words);
    const child = withoutInherited(["ignore", output, output], (stdio) =>
      spawn(program, args, { detached: true, stdio, cwd }),
    );
    return { child, niceness: child.pid === undefined ? 0 : makeNeutral(child.pid) };
  } finally {
    process.umask(umask);
  }
}

/**
 * Puts a shell before the program where a soft limit is to be changed, which Node cannot do.
 * Such a shell passes on no variable whose name it could not assign, so it is not always there.
 */
function withNeutralLimits(words: readonly [string, ...string[]]): [string, ...string[]] {
  const changes = changedLimits(resourceLimits());
  if (changes.length === 0) return [...words];
  return ["/bin/sh", "-c", `${changes.join("\n")}\nexec "$@"`, "procman", ...words];
}

function changedLimits(limits: ResourceLimits): string[] {
  return Object.entries(limits).flatMap(([resource, { soft, hard }]) => {
    const neutral = Math.min(SOFT_LIMITS[resource as Resource] ?? hard, hard);
    return soft === neutral ? [] : [setSoftLimits({ [resource]: neutral })];
  });
}

/** Before the process has threads: on Linux each has a niceness, of the one that started it. */
function makeNeutral(pid: number): number {
  const niceness = getPriority();
  if (niceness === 0) return 0;
  try {
    setPriority(pid, 0);
    return 0;
  } catch {
    return niceness;
  }
}
