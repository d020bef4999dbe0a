import type { Job, OutputSizes, Progress } from "./job.js";
import type { JobEntry } from "./job-entry.js";
import { logLimitOf } from "./log-limit.js";
import type { JobStore, OutputReader } from "./ports.js";

/** Jobs as clients see them: what is on record, and what their logs tell now. */
export class JobViews {
  readonly #store: JobStore;
  readonly #output: OutputReader;
  readonly #progress = new WeakMap<JobEntry, KnownProgress>();

  constructor(store: JobStore, output: OutputReader) {
    this.#store = store;
    this.#output = output;
  }

  /** Without the values of its environment, which may be secrets. */
  async of(entry: JobEntry): Promise<Job> {
    const { spec, createdTime, state } = entry.record;
    const sizes = await this.#output.sizes(this.#store.dirOf(entry.id));
    const progress = await this.#progressOf(entry, sizes);
    const logLimitBytes = logLimitOf(entry.record);
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

  /** Read from the logs' tails, and again only after they have grown. */
  async #progressOf(entry: JobEntry, sizes: OutputSizes): Promise<Progress | undefined> {
    const known = this.#progress.get(entry);
    if (
      known?.sizes.stdoutBytes === sizes.stdoutBytes &&
      known.sizes.stderrBytes === sizes.stderrBytes
    ) {
      return known.progress;
    }
    const progress = await this.#output.progress(this.#store.dirOf(entry.id));
    this.#progress.set(entry, { sizes, progress });
    return progress;
  }
}

interface KnownProgress {
  readonly sizes: OutputSizes;
  readonly progress: Progress | undefined;
}

function withoutValues(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(env).map((name) => [name, ""]));
}
