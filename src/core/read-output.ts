import { type OutputSizes, type Stream, STREAMS } from "../contract/job.js";
import type {
  BoundedOutput,
  OutputEnds,
  OutputPart,
  ReadOutputOptions,
} from "../contract/procman.js";
import { characterBorder, isContinuation } from "../platform/character-border.js";
import { defined } from "../platform/defined.js";
import type { OutputRange } from "./output-period.js";
import type { JobLogs, OutputPositions } from "./ports.js";
import { validOutputEnds, validOutputSize } from "./validate.js";

/** A run of bytes, from `begin` to before `end`. */
interface Span {
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads the output that there is now, or a bounded part of it.
 * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE
 */
export async function readOutput(
  logs: JobLogs,
  { signal, ...options }: ReadOutputOptions,
  { from, reading, times }: Pick<OutputRange, "from" | "reading" | "times">,
): Promise<Omit<BoundedOutput, "job">> {
  const maxBytes = validOutputSize(options);
  const ends = validOutputEnds(options);
  const sizes = await logs.sizes();
  const wholes = STREAMS.map((stream) => wholeOf(stream, from[stream], sizes, reading.to));
  const shares = shareOf(maxBytes, wholes.map(lengthOf) as [number, number]);
  const parts: OutputPart[] = [];
  const next = { stdout: 0, stderr: 0 };
  for (const [index, stream] of STREAMS.entries()) {
    const whole = wholes[index] as Span;
    let end = whole.begin;
    for (const span of spansWithin(whole, shares[index] as number, ends)) {
      for await (const part of readSpan(logs, stream, span, signal)) {
        const cut = withWholeCharacters(part, whole);
        const writtenBetween = times?.writtenBetween(stream, cut.offset, endOf(cut));
        parts.push({ ...cut, omittedBytes: cut.offset - end, ...defined({ writtenBetween }) });
        end = endOf(cut);
      }
    }
    next[stream] = ends === "head" ? end : whole.end;
  }
  return { parts, stdoutNextOffset: next.stdout, stderrNextOffset: next.stderr };
}

/** All that could be returned of one stream; nothing where it is not asked for. */
function wholeOf(
  stream: Stream,
  begin: number | undefined,
  sizes: OutputSizes,
  to: OutputPositions = {},
): Span {
  const size = stream === "stdout" ? sizes.stdoutBytes : sizes.stderrBytes;
  const end = Math.min(size, to[stream] ?? size);
  // It may have been truncated in between.
  return { begin: begin ?? end, end: Math.max(begin ?? end, end) };
}

function lengthOf({ begin, end }: Span): number {
  return end - begin;
}

/** Gives each of two lengths half, and what one does not need to the other. */
function shareOf(maxBytes: number, [one, other]: readonly [number, number]): [number, number] {
  const half = Math.floor(maxBytes / 2);
  const first = Math.min(one, Math.max(maxBytes - half, maxBytes - other));
  return [first, Math.min(other, maxBytes - first)];
}

function spansWithin({ begin, end }: Span, share: number, ends: OutputEnds): Span[] {
  if (end - begin <= share) return [{ begin, end }];
  const headBytes = ends === "both" ? Math.ceil(share / 2) : ends === "head" ? share : 0;
  const head = { begin, end: begin + headBytes };
  const tail = { begin: end - (share - headBytes), end };
  return [head, tail].filter((span) => lengthOf(span) > 0);
}

type Part = Omit<OutputPart, "omittedBytes">;

function endOf({ offset, data }: Part): number {
  return offset + data.length;
}

/** Yields what is left of it: in pieces where a log limit has removed some of it meanwhile. */
async function* readSpan(
  logs: JobLogs,
  stream: Stream,
  { begin, end }: Span,
  signal: AbortSignal | undefined,
): AsyncGenerator<Part> {
  if (begin === end) return;
  let pieces: Uint8Array[] = [];
  let offset = begin;
  let next = begin;
  const joined = (): Part => ({ stream, offset, data: Buffer.concat(pieces) });
  for await (const chunk of logs.chunks({ [stream]: begin }, defined({ signal }))) {
    if (chunk.offset >= end) break;
    if (chunk.isTruncation) continue;
    if (chunk.offset !== next) {
      if (pieces.length > 0) yield joined();
      pieces = [];
      offset = chunk.offset;
    }
    const data = chunk.data.subarray(0, end - chunk.offset);
    pieces.push(data);
    next = chunk.offset + data.length;
    if (next >= end) break;
  }
  if (pieces.length > 0) yield joined();
}

/** Leaves out what is left of a character of UTF-8 where the part was cut out of a whole. */
function withWholeCharacters(part: Part, whole: Span): Part {
  const { stream, offset, data } = part;
  const begin = offset === whole.begin ? 0 : firstCharacter(data);
  const end = endOf(part) === whole.end ? data.length : characterBorder(data, data.length);
  // Else who reads on from the end of the head would never get on.
  if (begin >= end) return part;
  return { stream, offset: offset + begin, data: data.subarray(begin, end) };
}

const MAX_CHARACTER_BYTES = 4;

function firstCharacter(data: Uint8Array): number {
  let begin = 0;
  while (begin < MAX_CHARACTER_BYTES && isContinuation(data[begin])) begin += 1;
  // More of them are no UTF-8.
  return begin < MAX_CHARACTER_BYTES ? begin : 0;
}
