import { argumentError, type FieldViolation, type ProcmanError } from "../../contract/errors.js";
import type { Stream } from "../../contract/job.js";

/** An offset that lies behind the end of its stream. */
export interface OffsetBeyondEnd {
  readonly stream: Stream;
  readonly offset: number;
  readonly size: number;
}

/** OFFSET_OUT_OF_RANGE with one violation a stream, named as in the contract. */
export function offsetOutOfRange(beyond: readonly OffsetBeyondEnd[]): ProcmanError {
  return argumentError("OFFSET_OUT_OF_RANGE", beyond.map(violationOf));
}

function violationOf({ stream, offset, size }: OffsetBeyondEnd): FieldViolation {
  return {
    field: `${stream}_offset`,
    description: `${offset} is beyond the end of ${stream}, which has ${size} bytes`,
  };
}
