import {
  Containment as ProtoContainment,
  IfRunning as ProtoIfRunning,
  Output as ProtoOutput,
  OutputEnds as ProtoOutputEnds,
  Status as ProtoStatus,
  Stream as ProtoStream,
  Terminator as ProtoTerminator,
} from "../../gen/procman/v1/procman_pb.js";
import { invalidArgument, type Violations } from "../contract/errors.js";
import type { Containment, OutputKind, Status, Stream } from "../contract/job.js";
import type { IfRunning, OutputEnds, Terminator } from "../contract/procman.js";

/** The value of every enum that stands for none. */
const UNSPECIFIED = 0;

/** Maps names of the contract to the values of an enum of the proto, and back. */
class EnumTable<Name extends string, Value extends number> {
  readonly #noun: string;
  readonly #values: Readonly<Record<Name, Value>>;
  readonly #names: ReadonlyMap<Value, Name>;

  constructor(noun: string, values: Readonly<Record<Name, Value>>) {
    const entries = Object.entries(values) as [Name, Value][];
    this.#noun = noun;
    this.#values = values;
    this.#names = new Map(entries.map(([name, value]) => [value, name]));
  }

  encode(name: Name): Value {
    return this.#values[name];
  }

  /** Returns undefined for UNSPECIFIED, and for values that this version does not know. */
  decode(value: Value): Name | undefined {
    return this.#names.get(value);
  }

  /** @throws ProcmanError INVALID_ARGUMENT for an unknown name, which callers in JavaScript may pass */
  encodeRequested(field: string, name: Name): Value {
    if (Object.hasOwn(this.#values, name)) return this.#values[name];
    const known = Object.keys(this.#values).join(", ");
    throw invalidArgument(field, `${JSON.stringify(name)} is none of ${known}`);
  }

  /** Returns undefined where none is given, and reports unknown values. */
  decodeRequested(field: string, value: Value, violations: Violations): Name | undefined {
    const name = this.decode(value);
    if (!name && value !== UNSPECIFIED) violations.add(field, `${value} is not a ${this.#noun}`);
    return name;
  }

  /** As `encodeRequested` for each of them. */
  encodeList(field: string, names: readonly Name[] = []): Value[] {
    return names.map((name) => this.encodeRequested(field, name));
  }

  /** Returns each name once, and reports unknown values. */
  decodeList(field: string, values: readonly Value[], violations: Violations): Name[] {
    const names = new Set<Name>();
    for (const value of values) {
      const name = this.decode(value);
      if (name) names.add(name);
      else violations.add(field, `${value} is not a ${this.#noun}`);
    }
    return [...names];
  }
}

export const STATUS = new EnumTable<Status, ProtoStatus>("status", {
  pending: ProtoStatus.PENDING,
  running: ProtoStatus.RUNNING,
  completed: ProtoStatus.COMPLETED,
  failed: ProtoStatus.FAILED,
  cancelled: ProtoStatus.CANCELLED,
  orphaned: ProtoStatus.ORPHANED,
});

export const STREAM = new EnumTable<Stream, ProtoStream>("stream", {
  stdout: ProtoStream.STDOUT,
  stderr: ProtoStream.STDERR,
});

export const TERMINATOR = new EnumTable<Terminator, ProtoTerminator>("terminator", {
  lf: ProtoTerminator.LF,
  crlf: ProtoTerminator.CRLF,
  cr: ProtoTerminator.CR,
  none: ProtoTerminator.NONE,
});

export const IF_RUNNING = new EnumTable<IfRunning, ProtoIfRunning>("way to start", {
  fail: ProtoIfRunning.FAIL,
  return: ProtoIfRunning.RETURN,
});

export const OUTPUT = new EnumTable<OutputKind, ProtoOutput>("kind of output", {
  file: ProtoOutput.FILE,
  pipe: ProtoOutput.PIPE,
});

export const OUTPUT_ENDS = new EnumTable<OutputEnds, ProtoOutputEnds>("way to shorten output", {
  both: ProtoOutputEnds.BOTH,
  head: ProtoOutputEnds.HEAD,
  tail: ProtoOutputEnds.TAIL,
});

export const CONTAINMENT = new EnumTable<Containment, ProtoContainment>("containment", {
  session: ProtoContainment.SESSION,
  cgroup: ProtoContainment.CGROUP,
});
