import { isTerminal, type Job } from "../../contract/job.js";
import type { WatchJobsOptions, Procman } from "../../contract/procman.js";
import { jobsEventJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import type { Style } from "./output.js";
import { LINE_STYLES } from "./prefixed-output.js";

/**
 * Prints the lines that match of all jobs that are selected, each with its job before it,
 * as long as the signal lets it. The lines of a job's stdout go to stdout, and those of its
 * stderr to stderr.
 */
export async function printLinesOfJobs(
  client: Procman,
  { json, ...options }: WatchJobsOptions & { readonly json: boolean },
  cli: Cli,
): Promise<void> {
  const prefixes = new JobPrefixes();
  for await (const event of client.watchJobs(options)) {
    if (json) await cli.stdout.line(jobsEventJson(event));
    switch (event.type) {
      case "snapshot":
        for (const job of event.jobs) prefixes.add(job);
        break;
      case "changed":
        prefixes.add(event.job);
        break;
      case "removed":
        prefixes.delete(event.id);
        break;
      case "line": {
        if (json) break;
        const { stream, text } = event.line;
        const output = cli[stream];
        const { prefix, style } = prefixes.of(event.id);
        await output.line(output.paint(style, `${prefix} | `) + text);
        break;
      }
      case "searched":
      case "resumed":
        break;
    }
  }
}

/**
 * What stands before the lines of each job: its name, or its id where it has none, or where
 * a later one bears it. Jobs that have ended keep their names, and do not count.
 */
class JobPrefixes {
  readonly #names = new Map<string, string | undefined>();
  /** Of the jobs that a line came of. */
  readonly #styles = new Map<string, Style>();
  /** The ids of the last jobs of each name that had not ended when they were told of. */
  readonly #bearers = new Map<string, string>();

  add(job: Job): void {
    const { id, name } = job;
    this.#names.set(id, name);
    if (name !== undefined && !isTerminal(job)) this.#bearers.set(name, id);
  }

  delete(id: string): void {
    const name = this.#names.get(id);
    this.#names.delete(id);
    if (name !== undefined && this.#bearers.get(name) === id) this.#bearers.delete(name);
  }

  of(id: string) {
    const name = this.#names.get(id);
    const isOwn = name !== undefined && (this.#bearers.get(name) ?? id) === id;
    const style = this.#styles.get(id) ?? this.#nextStyle();
    this.#styles.set(id, style);
    return { prefix: isOwn ? name : id, style };
  }

  #nextStyle(): Style {
    return LINE_STYLES[this.#styles.size % LINE_STYLES.length] as Style;
  }
}
