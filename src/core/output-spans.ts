import { type Stream, STREAMS } from "../contract/job.js";
import type { OutputSpan } from "./ports.js";

/** The share that may be left where only bytes next to each other are joined. */
const MAX_CAREFUL_SHARE = 3 / 4;

/**
 * Joins two neighbours each, so that about half as many spans are left. Bytes that no span
 * has, since nobody looked, stay so as long as there are not too many of such places.
 */
export function thinnedSpans(spans: readonly OutputSpan[], maxSpans: number): OutputSpan[] {
  const careful = STREAMS.flatMap((stream) => joined(spans, stream, false));
  if (careful.length <= maxSpans * MAX_CAREFUL_SHARE) return careful;
  return STREAMS.flatMap((stream) => joined(spans, stream, true));
}

function joined(spans: readonly OutputSpan[], stream: Stream, acrossGaps: boolean): OutputSpan[] {
  const kept: OutputSpan[] = [];
  let canJoin = false;
  for (const span of spans) {
    if (span.stream !== stream) continue;
    const last = kept.at(-1);
    const isNext = last && (last.end === span.begin || (acrossGaps && last.end < span.begin));
    if (last && isNext && canJoin) {
      kept[kept.length - 1] = {
        stream,
        begin: last.begin,
        end: span.end,
        fromMs: Math.min(last.fromMs, span.fromMs),
        toMs: Math.max(last.toMs, span.toMs),
      };
    } else kept.push(span);
    canJoin = !(isNext && canJoin);
  }
  return kept;
}
