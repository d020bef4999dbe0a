import {
  create,
  type DescMessage,
  fromBinary,
  isFieldSet,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AttachRequestSchema,
  AttachResponseSchema,
  CancelJobsRequestSchema,
  CancelJobsResponseSchema,
  CancelRequestSchema,
  RemoveJobsRequestSchema,
  RemoveRequestSchema,
  CleanupRequestSchema,
  ContainmentSchema,
  GetRequestSchema,
  IfRunningSchema,
  JobSchema,
  ListRequestSchema,
  ListResponseSchema,
  OutputEndsSchema,
  ReadOutputRequestSchema,
  ReadOutputResponseSchema,
  ResizeWindowRequestSchema,
  RenewLeaseRequestSchema,
  RestartRequestSchema,
  SendInputRequestSchema,
  SendInputResponseSchema,
  SignalJobsRequestSchema,
  SignalRequestSchema,
  StartRequestSchema,
  StatusSchema,
  StreamSchema,
  TerminatorSchema,
  WaitRequestSchema,
  WaitResponseSchema,
  WatchJobsRequestSchema,
  WatchJobsResponseSchema,
  WatchRequestSchema,
  WatchResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { CONTAINMENTS, STATUSES, STREAMS } from "../../../src/contract/job.js";
import {
  IF_RUNNING,
  type JobSelection,
  OUTPUT_ENDS,
  TERMINATORS,
} from "../../../src/contract/procman.js";
import {
  decodeCancel,
  decodeRemove,
  decodeCleanup,
  decodeGet,
  decodeInputPosition,
  decodeResizeWindow,
  decodeRenewLease,
  decodeRestart,
  decodeSendInput,
  decodeSignal,
  encodeCancel,
  encodeRemove,
  encodeCleanup,
  encodeGet,
  encodeInputPosition,
  encodeResizeWindow,
  encodeRenewLease,
  encodeRestart,
  encodeSendInput,
  encodeSignal,
} from "../../../src/wire/control.js";
import {
  CONTAINMENT,
  IF_RUNNING as IF_RUNNING_TABLE,
  OUTPUT_ENDS as OUTPUT_ENDS_TABLE,
  STATUS,
  STREAM,
  TERMINATOR,
} from "../../../src/wire/enums.js";
import { decodeJob, encodeJob } from "../../../src/wire/job.js";
import {
  decodeJobsEvent,
  decodeList,
  decodePage,
  decodeWatchJobs,
  encodeJobsEvent,
  encodeList,
  encodePage,
  encodeWatchJobs,
} from "../../../src/wire/jobs.js";
import {
  decodeAttach,
  decodeAttachEvent,
  decodeWatch,
  decodeWatchEvent,
  encodeAttach,
  encodeAttachEvent,
  encodeWatch,
  encodeWatchEvent,
} from "../../../src/wire/output.js";
import {
  decodeBoundedOutput,
  decodeReadOutput,
  encodeBoundedOutput,
  encodeReadOutput,
} from "../../../src/wire/read-output.js";
import {
  decodeCancelJobs,
  decodeRemoveJobs,
  decodeResults,
  decodeSignalJobs,
  encodeCancelJobs,
  encodeRemoveJobs,
  encodeResults,
  encodeSignalJobs,
} from "../../../src/wire/several-jobs.js";
import { decodeStart, encodeStart } from "../../../src/wire/start.js";
import { decodeWait, decodeWaited, encodeWait, encodeWaited } from "../../../src/wire/wait.js";
import { anyJob } from "../client/some-job.js";
import {
  anyAttach,
  anyAttachEvent,
  anyCancel,
  anyRemove,
  anyCleanup,
  anyGet,
  anyId,
  anyInputPosition,
  anyJobsEvent,
  anyList,
  anyPage,
  anyBoundedOutput,
  anyReadOutput,
  anyRemoveJobs,
  anyRenewLease,
  anyRestart,
  anyResults,
  anySelection,
  anySendInput,
  anySignal,
  anySize,
  anyStart,
  anyWait,
  anyWaited,
  anyWatch,
  anyWatchEvent,
  anyWatchJobs,
} from "./any-value.js";

interface RoundTrip {
  readonly desc: DescMessage;
  readonly any: fc.Arbitrary<unknown>;
  readonly send: (value: never) => Message;
  readonly decode: (message: never) => unknown;
}

function roundTrip<Schema extends DescMessage, Value>(
  desc: Schema,
  any: fc.Arbitrary<Value>,
  encode: (value: Value) => MessageInitShape<Schema>,
  decode: (message: MessageShape<Schema>) => Value | undefined,
): RoundTrip {
  /** As it arrives at the other end. */
  const send = (value: Value) => fromBinary(desc, toBinary(desc, create(desc, encode(value))));
  return { desc, any, send, decode };
}

/** A request about a job: its id and its options. */
function onJob<Schema extends DescMessage, Options>(
  desc: Schema,
  any: fc.Arbitrary<Options>,
  encode: (id: string, options: Options) => MessageInitShape<Schema>,
  decode: (message: MessageShape<Schema>) => { id: string; options: Options },
): RoundTrip {
  const call = fc.record({ id: anyId, options: any }, { noNullPrototype: true });
  return roundTrip(desc, call, ({ id, options }) => encode(id, options), decode);
}

/** A request about several jobs. */
function onJobs<Schema extends DescMessage, Options>(
  desc: Schema,
  any: fc.Arbitrary<Options>,
  encode: (selection: JobSelection, options: Options) => MessageInitShape<Schema>,
  decode: (message: MessageShape<Schema>) => { selection: JobSelection; options: Options },
): RoundTrip {
  const call = fc.record({ selection: anySelection, options: any }, { noNullPrototype: true });
  return roundTrip(desc, call, ({ selection, options }) => encode(selection, options), decode);
}

const anySignalCall = fc.record({ name: anyId, options: anySignal }, { noNullPrototype: true });

const MESSAGES: readonly RoundTrip[] = [
  roundTrip(StartRequestSchema, anyStart, encodeStart, decodeStart),
  onJob(GetRequestSchema, anyGet, encodeGet, decodeGet),
  roundTrip(ListRequestSchema, anyList, encodeList, decodeList),
  roundTrip(ListResponseSchema, anyPage, encodePage, decodePage),
  onJob(AttachRequestSchema, anyAttach, encodeAttach, decodeAttach),
  roundTrip(AttachResponseSchema, anyAttachEvent, encodeAttachEvent, decodeAttachEvent),
  onJob(ReadOutputRequestSchema, anyReadOutput, encodeReadOutput, decodeReadOutput),
  roundTrip(
    ReadOutputResponseSchema,
    anyBoundedOutput,
    (output) => encodeBoundedOutput(output, false),
    decodeBoundedOutput,
  ),
  onJob(WatchRequestSchema, anyWatch, encodeWatch, decodeWatch),
  roundTrip(WatchResponseSchema, anyWatchEvent, encodeWatchEvent, decodeWatchEvent),
  onJob(WaitRequestSchema, anyWait, encodeWait, decodeWait),
  roundTrip(WaitResponseSchema, anyWaited, encodeWaited, decodeWaited),
  roundTrip(WatchJobsRequestSchema, anyWatchJobs, encodeWatchJobs, decodeWatchJobs),
  roundTrip(WatchJobsResponseSchema, anyJobsEvent, encodeJobsEvent, decodeJobsEvent),
  onJob(
    SignalRequestSchema,
    anySignalCall,
    (id, { name, options }) => encodeSignal(id, name, options),
    (request) => {
      const { id, signal: name, options } = decodeSignal(request);
      return { id, options: { name, options } };
    },
  ),
  onJob(CancelRequestSchema, anyCancel, encodeCancel, decodeCancel),
  onJobs(CancelJobsRequestSchema, anyCancel, encodeCancelJobs, decodeCancelJobs),
  onJobs(
    SignalJobsRequestSchema,
    anySignalCall,
    (selection, { name, options }) => encodeSignalJobs(selection, name, options),
    (request) => {
      const { selection, signal: name, options } = decodeSignalJobs(request);
      return { selection, options: { name, options } };
    },
  ),
  onJobs(RemoveJobsRequestSchema, anyRemoveJobs, encodeRemoveJobs, decodeRemoveJobs),
  roundTrip(CancelJobsResponseSchema, anyResults, encodeResults, decodeResults),
  onJob(RenewLeaseRequestSchema, anyRenewLease, encodeRenewLease, decodeRenewLease),
  onJob(RestartRequestSchema, anyRestart, encodeRestart, decodeRestart),
  onJob(RemoveRequestSchema, anyRemove, encodeRemove, decodeRemove),
  onJob(SendInputRequestSchema, anySendInput, encodeSendInput, decodeSendInput),
  roundTrip(SendInputResponseSchema, anyInputPosition, encodeInputPosition, decodeInputPosition),
  onJob(ResizeWindowRequestSchema, anySize, encodeResizeWindow, (request) => {
    const { id, size } = decodeResizeWindow(request);
    return { id, options: size };
  }),
  roundTrip(CleanupRequestSchema, anyCleanup, encodeCleanup, decodeCleanup),
  roundTrip(JobSchema, anyJob, encodeJob, decodeJob),
];

describe.each(MESSAGES.map((each) => [each.desc.name, each] as const))(
  "%s",
  (_name, { desc, any, send, decode }) => {
    test("is decoded to what was encoded", () => {
      fc.assert(
        fc.property(any, (value) => {
          expect(decode(send(value as never) as never)).toStrictEqual(value);
        }),
      );
    });

    test("carries something in every field, down to the last", () => {
      const used = new Set<string>();
      // A field is there in one of two values at least: none is missed by chance.
      for (const value of fc.sample(any, 300)) addFields(send(value as never), desc, used);
      expect([...fieldsOf(desc)].filter((name) => !used.has(name))).toEqual([]);
    });
  },
);

/** Text in place of bytes, for clients that are not ours. */
const ONLY_OTHERS_ASK = new Set([
  "procman.v1.ReadOutputRequest.text",
  "procman.v1.OutputPart.text",
]);

/** By its full name, each field of a message and of the messages in it. */
function fieldsOf(desc: DescMessage, found = new Set<string>()): Set<string> {
  for (const field of desc.fields) {
    // Nobody's event: it says only that the stream lives.
    if (field.name === "heartbeat") continue;
    const name = `${desc.typeName}.${field.name}`;
    if (ONLY_OTHERS_ASK.has(name)) continue;
    if (found.has(name)) continue;
    found.add(name);
    if (field.message && isOurs(field.message)) fieldsOf(field.message, found);
  }
  return found;
}

/** The same of those that have a value. */
function addFields(message: Message, desc: DescMessage, used: Set<string>): void {
  for (const field of desc.fields) {
    if (!isFieldSet(message, field)) continue;
    used.add(`${desc.typeName}.${field.name}`);
    const { message: inner } = field;
    if (!inner || !isOurs(inner)) continue;
    const reflected = reflect(desc, message);
    if (field.fieldKind === "message") addFields(reflected.get(field).message, inner, used);
    if (field.fieldKind === "list") {
      for (const each of reflected.get(field)) {
        addFields((each as { message: Message }).message, inner, used);
      }
    }
  }
}

function isOurs({ typeName }: DescMessage): boolean {
  return typeName.startsWith("procman.");
}

test.each([
  [StatusSchema, STATUSES, STATUS],
  [StreamSchema, STREAMS, STREAM],
  [TerminatorSchema, TERMINATORS, TERMINATOR],
  [ContainmentSchema, CONTAINMENTS, CONTAINMENT],
  [IfRunningSchema, IF_RUNNING, IF_RUNNING_TABLE],
  [OutputEndsSchema, OUTPUT_ENDS, OUTPUT_ENDS_TABLE],
] as const)("$name has the names of the contract, in the same order", (desc, names, table) => {
  const values = desc.values.slice(1);
  expect(values.map(({ localName }) => localName.toLowerCase())).toEqual(names);
  for (const [index, { number }] of values.entries()) {
    expect(table.encode(names[index] as never)).toBe(number);
    expect(table.decode(number as never)).toBe(names[index]);
  }
  expect(table.decode(0 as never)).toBeUndefined();
  expect(table.decode((values.length + 1) as never)).toBeUndefined();
});
