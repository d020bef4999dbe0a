import { setImmediate as eventLoopTurn } from "node:timers/promises";
import type { OutputLine } from "../../contract/procman.js";
import type { Stream } from "../../contract/job.js";
import type { LinePattern } from "../../core/line-pattern.js";
import type { LineSearch, LogChunk, OutputPositions } from "../../core/ports.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { LineSplitter, type SplitLine } from "./line-splitter.js";
import { outputLine } from "./chunk-lines.js";

/** How long a last line that matches already is given to be completed. */
const COMPLETION_TIMEOUT_MS = 200;

/** How long others have to wait, unless a single line takes longer. */
const MAX_TURN_MS = 5;

export interface FindLineOptions {
  /** Whether the chunks end only when there will be no more. */
  readonly toTheEnd: boolean;
  /** Ends the search with what was found so far. */
  readonly timeout?: AbortSignal | undefined;
  /** Stops at once and fails with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns the first line that the pattern is found in. A last line that matches
 * however it goes on counts before its terminator has come.
 */
export async function findLine(
  read: (signal: AbortSignal) => AsyncIterable<LogChunk>,
  from: OutputPositions,
  pattern: LinePattern,
  { toTheEnd, timeout, signal }: FindLineOptions,
): Promise<LineSearch> {
  const reading = createLinkedAbortController(signal, timeout);
  const search = new LogSearch(from, pattern, reading.signal);
  let completion: NodeJS.Timeout | undefined;
  let isAtEnd = false;
  try {
    for await (const chunk of read(reading.signal)) {
      const line = await search.add(chunk);
      if (line) return { type: "line", line };
      if (search.unfinished)
        completion ??= setTimeout(() => reading.abort(), COMPLETION_TIMEOUT_MS);
    }
    isAtEnd = toTheEnd;
  } catch (error) {
    signal?.throwIfAborted();
    if (error !== reading.signal.reason) throw error;
  } finally {
    clearTimeout(completion);
    reading.abort();
  }
  const line = isAtEnd ? search.end() : search.unfinished;
  if (line) return { type: "line", line };
  return isAtEnd ? undefined : { type: "searched", ...search.offsets };
}

/** Searches the lines of a job's logs, one after another. */
class LogSearch {
  readonly #pattern: LinePattern;
  readonly #stopped: AbortSignal;
  readonly #splitters = new Map<Stream, LineSplitter>();
  /** The last line of each stream as far as it is written, where that matches already. */
  readonly #unfinished = new Map<Stream, OutputLine>();
  #turnBegan = performance.now();

  constructor(from: OutputPositions, pattern: LinePattern, stopped: AbortSignal) {
    this.#pattern = pattern;
    this.#stopped = stopped;
    for (const [stream, offset] of Object.entries(from) as [Stream, number][]) {
      this.#splitters.set(stream, new LineSplitter(offset));
    }
  }

  get unfinished(): OutputLine | undefined {
    return this.#unfinished.values().next().value;
  }

  /** Where in each stream the first line begins that may still match. */
  get offsets(): { stdoutOffset: number; stderrOffset: number } {
    const offsetOf = (stream: Stream) => this.#splitters.get(stream)?.offset ?? 0;
    return { stdoutOffset: offsetOf("stdout"), stderrOffset: offsetOf("stderr") };
  }

  /** @returns the first line that matches among those that the chunk completes. */
  async add(chunk: LogChunk): Promise<OutputLine | undefined> {
    const { stream, offset, data, seenTime, isTruncation } = chunk;
    let splitter = this.#splitters.get(stream);
    if (!splitter) return undefined;
    if (splitter.pushOffset !== offset || isTruncation) {
      // A log limit has removed what lay between, or the log was truncated: the line
      // before it has lost its end.
      const line = this.#lastLine(stream, splitter);
      if (line) return line;
      splitter = new LineSplitter(offset);
      this.#splitters.set(stream, splitter);
    }
    splitter.push(data);
    for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
      if (this.#matches(stream, line)) return outputLine(stream, line, seenTime);
      await this.#letOthersRun();
    }
    const rest = splitter.rest();
    if (rest && (this.#unfinished.has(stream) || this.#pattern.matchesBeginning(rest.text))) {
      this.#unfinished.set(stream, outputLine(stream, rest, seenTime));
    }
    await this.#letOthersRun();
    return undefined;
  }

  /** @returns the last line of a stream, where that matches. */
  end(): OutputLine | undefined {
    for (const [stream, splitter] of this.#splitters) {
      const line = this.#lastLine(stream, splitter);
      if (line) return line;
    }
    return undefined;
  }

  #lastLine(stream: Stream, splitter: LineSplitter): OutputLine | undefined {
    splitter.end();
    const line = splitter.next();
    return line && this.#matches(stream, line) ? outputLine(stream, line) : undefined;
  }

  #matches(stream: Stream, { text }: SplitLine): boolean {
    return this.#unfinished.has(stream) || this.#pattern.matches(text);
  }

  async #letOthersRun(): Promise<void> {
    if (performance.now() - this.#turnBegan < MAX_TURN_MS) return;
    await eventLoopTurn();
    this.#turnBegan = performance.now();
    this.#stopped.throwIfAborted();
  }
}
