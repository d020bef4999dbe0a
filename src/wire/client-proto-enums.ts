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

const PROTO_TERMINATOR = {
  lf: ProtoTerminator.LF,
  crlf: ProtoTerminator.CRLF,
  cr: ProtoTerminator.CR,
  none: ProtoTerminator.NONE,
} as const satisfies Record<Terminator, ProtoTerminator>;

const PROTO_CONTAINMENT = {
  session: ProtoContainment.SESSION,
  cgroup: ProtoContainment.CGROUP,
} as const satisfies Record<Containment, ProtoContainment>;

/** Each is undefined for UNSPECIFIED and for values that this version does not know. */
export const statusOf = inverse<Status, ProtoStatus>(PROTO_STATUS);
export const streamOf = inverse<Stream, ProtoStream>(PROTO_STREAM);
export const terminatorOf = inverse<Terminator, ProtoTerminator>(PROTO_TERMINATOR);
export const containmentOf = inverse<Containment, ProtoContainment>(PROTO_CONTAINMENT);

function inverse<Name extends string, Value>(
  values: Readonly<Record<Name, Value>>,
): (value: Value) => Name | undefined {
  const entries = Object.entries(values) as [Name, Value][];
  const names = new Map(entries.map(([name, value]) => [value, name]));
  return (value) => names.get(value);
}
