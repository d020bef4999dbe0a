import type { Job } from "../../contract/job.js";
import type { Procman, WatchOptions } from "../../contract/procman.js";
import { watchEventJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { unexpectedEnd } from "./copy-output.js";

/** Prints the lines of a job's output as JSON events, until the end. */
export async function printLineEvents(
  client: Procman,
  id: string,
  options: WatchOptions,
  { stdout }: Cli,
): Promise<Job> {
  for await (const event of client.watch(id, options)) {
    await stdout.line(watchEventJson(event));
    if (event.type === "ended") return event.job;
  }
  throw unexpectedEnd(id);
}
