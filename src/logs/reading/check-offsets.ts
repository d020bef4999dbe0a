import { type FieldViolation, ProcmanError } from "../../contract/errors.js";
import type { Stream } from "../../contract/job.js";

/** A byte offset that was asked for, and the size of its log. */
export interface LogOffset {
  readonly stream: Stream;
  readonly offset: number;
  readonly size: number;
}

/**
 * Checks that no offset is beyond the end of its log; the end itself is fine.
 * @throws ProcmanError OFFSET_OUT_OF_RANGE with a violation for each stream, named
 * as in the contract
 */
export function checkOffsets(...offsets: readonly LogOffset[]): void {
  const violations = offsets.filter(({ offset, size }) => offset > size).map(violationOf);
  if (violations.length === 0) return;
  const message = violations.map((v) => `${v.field}: ${v.description}`).join("; ");
  throw new ProcmanError("OFFSET_OUT_OF_RANGE", message, { violations });
}

function violationOf({ stream, offset, size }: LogOffset): FieldViolation {
  return {
    field: `${stream}_offset`,
    description: `${offset} is beyond the end of ${stream}, which has ${size} bytes`,
  };
}
