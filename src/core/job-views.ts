import { type Job, NO_OUTPUT, type OutputSizes, type Progress } from "../contract/job.js";
import type { JobEntry } from "./job-entry.js";
import { logLimitOf } from "./log-limit.js";
import type { JobStore, OutputReader } from "./ports.js";

interface Output {
  readonly sizes: OutputSizes;
  readonly progress: Progress | undefined;
}

/** Jobs as clients see them: their records, and what they have written. */
export class JobViews {
  readonly #store: JobStore;
  readonly #output: OutputReader;
  readonly #known = new WeakMap<JobEntry, Output>();

  constructor(store: JobStore, output: OutputReader) {
    this.#store = store;
    this.#output = output;
  }

  /** The job with the state of that record, and the output that there is now. */
  async of(entry: JobEntry, record = entry.record): Promise<Job> {
    const { spec, createdTime, state } = record;
    const { sizes, progress } = await this.#outputOf(entry);
    const logLimitBytes = logLimitOf(record);
    return {
      ...spec,
      env: withoutValues(spec.env),
      ...state,
      createdTime,
      ...sizes,
      ...(progress ? { progress } : {}),
      ...(logLimitBytes === undefined ? {} : { logLimitBytes }),
    };
  }

  /** Progress is read from the logs' tails, and again only after they have grown. */
  async #outputOf(entry: JobEntry): Promise<Output> {
    const dir = this.#store.dirOf(entry.id);
    const before = this.#known.get(entry);
    // Logs that cannot be read must not keep anybody from seeing this job and all others.
    const sizes = await this.#output.sizes(dir).catch(() => before?.sizes ?? NO_OUTPUT);
    if (before && bytesOf(before) === bytesOf({ sizes })) return { ...before, sizes };
    const progress = await this.#output.progress(dir).catch(() => before?.progress);
    const output = { sizes, progress };
    // Logs only grow. One that was larger is being removed, or somebody else
    // looked at it later and was faster.
    const known = this.#known.get(entry);
    if (known && bytesOf(known) > bytesOf(output)) return known;
    this.#known.set(entry, output);
    return output;
  }
}

function bytesOf({ sizes }: Pick<Output, "sizes">): number {
  return sizes.stdoutBytes + sizes.stderrBytes;
}

function withoutValues(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, ""]));
}
