import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import type { OutputChunk } from "../../../src/contract/procman.js";
import type { Stream } from "../../../src/contract/job.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { tempDir } from "../../helpers/temp-dir.js";

/** The logs of a job that this test plays. */
export class JobLogs {
  readonly dir = new JobDir(tempDir());

  /** Empty logs, as they are when a command has started. */
  static started(): JobLogs {
    const logs = new JobLogs();
    for (const stream of ["stdout", "stderr"] as const) writeFileSync(logs.path(stream), "");
    return logs;
  }

  path(stream: Stream): string {
    return this.dir.log(stream);
  }

  append(stream: Stream, data: string | Uint8Array): void {
    appendFileSync(this.path(stream), data);
  }

  read(stream: Stream): Buffer {
    return readFileSync(this.path(stream));
  }
}

/** Puts chunks together again, and checks that each begins where the one before ended. */
export class Collected {
  readonly #chunks: Record<Stream, Uint8Array[]> = { stdout: [], stderr: [] };
  readonly #sizes: Record<Stream, number> = { stdout: 0, stderr: 0 };
  readonly #from: Partial<Record<Stream, number>>;

  constructor(from: Partial<Record<Stream, number>> = {}) {
    this.#from = from;
  }

  add({ stream, offset, data }: OutputChunk): void {
    const expected = this.end(stream);
    if (offset !== expected) throw new Error(`${stream}: ${offset} where ${expected} comes next`);
    if (data.length === 0) throw new Error(`${stream}: nothing at ${offset}`);
    this.#chunks[stream].push(data);
    this.#sizes[stream] += data.length;
  }

  size(stream: Stream): number {
    return this.#sizes[stream];
  }

  /** Where the next chunk begins. */
  end(stream: Stream): number {
    return (this.#from[stream] ?? 0) + this.size(stream);
  }

  bytes(stream: Stream): Buffer {
    return Buffer.concat(this.#chunks[stream]);
  }
}

export async function collect(
  chunks: AsyncIterable<OutputChunk>,
  into: Collected = new Collected(),
): Promise<Collected> {
  for await (const chunk of chunks) into.add(chunk);
  return into;
}
