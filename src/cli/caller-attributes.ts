import { getPriority } from "node:os";
import { ProcmanError } from "../contract/errors.js";
import { type Job, NO_LIMIT, type SoftLimits } from "../contract/job.js";
import type { Procman, StartOptions } from "../contract/procman.js";
import { RESOURCES, type Resource, resourceLimits } from "../platform/resource-limits.js";
import type { Cli } from "./cli.js";

/** What a process inherits, beside its environment and directory, and hands on to a job. */
export type ProcessAttributes = Required<Pick<StartOptions, "umask" | "nice" | "softLimits">>;

/** Returns what this process was started with. */
export function callerAttributes(): ProcessAttributes {
  return { umask: process.umask(), nice: getPriority(), softLimits: callerLimits() };
}

function callerLimits(): SoftLimits {
  const own = resourceLimits();
  // Node has raised its own to the hard one. The parent, mostly the shell, has what this
  // process was given, unless that was changed in between, as the hard limit may tell.
  const { nofile } = resourceLimits(process.ppid);
  const limits = nofile?.hard === own.nofile?.hard ? { ...own, nofile } : own;
  const carried = RESOURCES.flatMap((resource) => {
    const soft = limits[resource]?.soft;
    if (soft === Number.POSITIVE_INFINITY) return [[resource, NO_LIMIT] as const];
    return Number.isSafeInteger(soft) ? [[resource, soft as number] as const] : [];
  });
  return Object.fromEntries(carried);
}

/**
 * Starts a job with the attributes of whoever calls, those given on the command line apart.
 * What the server may not hand on of this shell's is left out, and said.
 */
export async function startAsCaller(
  client: Procman,
  request: StartOptions,
  given: Partial<ProcessAttributes>,
  { attributes, stderr }: Pick<Cli, "attributes" | "stderr">,
): Promise<Job> {
  const caller = attributes();
  const carried: StartOptions = {
    ...request,
    ...caller,
    ...given,
    softLimits: { ...caller.softLimits, ...given.softLimits },
  };
  try {
    return await client.start(carried);
  } catch (error) {
    const refused = error instanceof ProcmanError ? error.violations : [];
    const notes: string[] = [];
    let left = carried;
    for (const { field, description } of refused) {
      const next = without(field, left, given);
      if (!next) throw error;
      left = next.request;
      notes.push(
        `procman: the job has the server's ${next.what}, not this shell's: it ${description}`,
      );
    }
    if (left === carried) throw error;
    await stderr.lines(notes);
    return client.start(left);
  }
}

/** @returns undefined for a field that was asked for */
function without(
  field: string,
  request: StartOptions,
  given: Partial<ProcessAttributes>,
): { readonly request: StartOptions; readonly what: string } | undefined {
  if (field === "nice") {
    if (given.nice !== undefined) return undefined;
    const { nice: _, ...rest } = request;
    return { request: rest, what: "niceness" };
  }
  const resource = limitOf(field);
  if (resource === undefined || given.softLimits?.[resource] !== undefined) return undefined;
  const { [resource]: _, ...softLimits } = request.softLimits ?? {};
  return { request: { ...request, softLimits }, what: `soft limit ${resource}` };
}

function limitOf(field: string): Resource | undefined {
  return RESOURCES.find((resource) => field === `soft_limits["${resource}"]`);
}
