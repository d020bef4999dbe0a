import {
  Containment as ProtoContainment,
  Status as ProtoStatus,
  Stream as ProtoStream,
  Terminator as ProtoTerminator,
} from "../../gen/procman/v1/procman_pb.js";
import type { Terminator } from "../contract/procman.js";
import type { Containment, Status, Stream } from "../contract/job.js";

export const PROTO_STATUS = {
  pending: ProtoStatus.PENDING,
  running: ProtoStatus.RUNNING,
  completed: ProtoStatus.COMPLETED,
  failed: ProtoStatus.FAILED,
  cancelled: ProtoStatus.CANCELLED,
  orphaned: ProtoStatus.ORPHANED,
} as const satisfies Record<Status, ProtoStatus>;

export const PROTO_STREAM = {
  stdout: ProtoStream.STDOUT,
  stderr: ProtoStream.STDERR,
} as const satisfies Record<Stream, ProtoStream>;

export const PROTO_TERMINATOR = {
  lf: ProtoTerminator.LF,
  crlf: ProtoTerminator.CRLF,
  cr: ProtoTerminator.CR,
  none: ProtoTerminator.NONE,
} as const satisfies Record<Terminator, ProtoTerminator>;

export const PROTO_CONTAINMENT = {
  session: ProtoContainment.SESSION,
  cgroup: ProtoContainment.CGROUP,
} as const satisfies Record<Containment, ProtoContainment>;

const STATUS_OF = inverse<Status, ProtoStatus>(PROTO_STATUS);
const STREAM_OF = inverse<Stream, ProtoStream>(PROTO_STREAM);

/** Undefined for UNSPECIFIED and for values this version does not know. */
export function statusOf(value: ProtoStatus): Status | undefined {
  return STATUS_OF.get(value);
}

/** Undefined for UNSPECIFIED and for values this version does not know. */
export function streamOf(value: ProtoStream): Stream | undefined {
  return STREAM_OF.get(value);
}

function inverse<Name extends string, Value>(
  names: Readonly<Record<Name, Value>>,
): ReadonlyMap<Value, Name> {
  const entries = Object.entries(names) as [Name, Value][];
  return new Map(entries.map(([name, value]) => [value, name]));
}
