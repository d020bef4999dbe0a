import {
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  AttachRequestSchema,
  CancelRequestSchema,
  CleanupRequestSchema,
  GetRequestSchema,
  ListRequestSchema,
  ReadOutputRequestSchema,
  ResizeWindowRequestSchema,
  SendInputRequestSchema,
  SignalRequestSchema,
  StartRequestSchema,
  WaitRequestSchema,
  WatchJobsRequestSchema,
  WatchRequestSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import type { WaitOptions } from "../../../src/contract/procman.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import { LinePattern } from "../../../src/core/line-pattern.js";
import {
  requestedSpec,
  validDuration,
  validInputPiece,
  validOutputEnds,
  validOutputSize,
  validPageSize,
  validPort,
  validWindowSize,
} from "../../../src/core/validate.js";
import {
  decodeCancel,
  decodeCleanup,
  decodeResizeWindow,
  decodeSendInput,
  decodeSignal,
} from "../../../src/wire/control.js";
import { decodeId } from "../../../src/wire/fields.js";
import { decodeList, decodeWatchJobs } from "../../../src/wire/jobs.js";
import { decodeAttach, decodeWatch } from "../../../src/wire/output.js";
import { decodeReadOutput } from "../../../src/wire/read-output.js";
import { decodeStart } from "../../../src/wire/start.js";
import { decodeWait } from "../../../src/wire/wait.js";

/** Every request, with its decoder and the checks that the domain makes next. */
const REQUESTS: [DescMessage, (message: never) => unknown][] = [
  [StartRequestSchema, (message) => requestedSpec(decodeStart(message), "/")],
  [GetRequestSchema, decodeId],
  [ListRequestSchema, (message) => validPageSize(decodeList(message))],
  [AttachRequestSchema, decodeAttach],
  [
    ReadOutputRequestSchema,
    (message) => {
      const { options } = decodeReadOutput(message);
      validOutputEnds(options);
      return validOutputSize(options);
    },
  ],
  [WatchRequestSchema, decodeWatch],
  [WaitRequestSchema, (message) => checkWait(decodeWait(message).options)],
  [WatchJobsRequestSchema, decodeWatchJobs],
  [SignalRequestSchema, decodeSignal],
  [SendInputRequestSchema, (message) => validInputPiece(decodeSendInput(message).options)],
  [ResizeWindowRequestSchema, (message) => validWindowSize(decodeResizeWindow(message).size)],
  [
    CancelRequestSchema,
    (message) => timesOf("grace_period", decodeCancel(message).options.gracePeriodMs),
  ],
  [CleanupRequestSchema, (message) => timesOf("older_than", decodeCleanup(message).olderThanMs)],
];

function checkWait({ timeoutMs, until }: WaitOptions): void {
  timesOf("timeout", timeoutMs);
  switch (until?.type) {
    case "output":
      new LinePattern(until.pattern).matches("a line");
      break;
    case "port":
      expect(validPort(until.port)).toBeLessThan(65_536);
      break;
    case "no-remaining":
    case undefined:
  }
}

function timesOf(field: Parameters<typeof validDuration>[0], valueMs: number | undefined): number {
  const checked = valueMs === undefined ? 0 : validDuration(field, valueMs);
  expect(Number.isSafeInteger(checked)).toBe(true);
  return checked;
}

/** Any message of a type, as far as its bytes can say it. */
function messageOf(desc: DescMessage): fc.Arbitrary<Message> {
  const fields = Object.fromEntries(
    desc.members.map((member) => [
      member.localName,
      fc.option(member.kind === "oneof" ? oneOf(member) : valueOf(member), { nil: undefined }),
    ]),
  );
  return fc
    .record(fields)
    .map((values) =>
      create(
        desc,
        Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)),
      ),
    );
}

function oneOf(group: DescOneof): fc.Arbitrary<unknown> {
  const fields = group.fields.map((field) =>
    valueOf(field).map((value) => ({ case: field.localName, value })),
  );
  return fc.oneof(...fields);
}

function valueOf(field: DescField): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return scalarOf(field.scalar);
    case "enum":
      return enumValue;
    case "message":
      return messageOf(field.message);
    case "list":
      if (field.listKind === "message") return fc.array(messageOf(field.message));
      return fc.array(field.listKind === "enum" ? enumValue : scalarOf(field.scalar));
    case "map":
      return fc.dictionary(text, text);
  }
}

const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "\0", "/", "__proto__"));
/** Open, as enums of proto3 are: a newer client may send a value that is not known here. */
const enumValue = fc.oneof(fc.integer({ min: -1, max: 8 }), fc.integer());

function scalarOf(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array();
    case ScalarType.INT32:
      return fc.oneof(fc.integer(), fc.integer({ min: -2, max: 1002 }));
    case ScalarType.INT64:
      return fc.oneof(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.bigInt({ min: -2n, max: 400_000_000_000n }),
      );
    case ScalarType.DOUBLE:
      return fc.oneof(fc.double(), fc.double({ min: -1, max: 3 }));
    default:
      throw new Error(`no request has a field of type ${ScalarType[type]} yet`);
  }
}

/** Decodes, or is refused with the fields that are to blame. */
function decodeOrRefuse(desc: DescMessage, decode: (message: never) => unknown, message: Message) {
  try {
    decode(message as never);
  } catch (error) {
    if (!(error instanceof ProcmanError)) throw error;
    expect(error.reason).toBe("INVALID_ARGUMENT");
    expect(error.violations.length).toBeGreaterThan(0);
    const names = desc.fields.map(({ name }) => name);
    // "args[3]" is about the field args, "output.pattern" about one of the field output.
    for (const { field } of error.violations) {
      expect(names).toContain(field.replace(/[[.].*$/s, ""));
    }
  }
}

test.each(REQUESTS.map(([desc, decode]) => [desc.name, desc, decode] as const))(
  "any %s is decoded or refused with INVALID_ARGUMENT that names its fields",
  (_name, desc, decode) => {
    fc.assert(
      fc.property(messageOf(desc), (message) => decodeOrRefuse(desc, decode, message)),
      { numRuns: 500 },
    );
  },
);

test.each(REQUESTS.map(([desc, decode]) => [desc.name, desc, decode] as const))(
  "any bytes that make a %s likewise",
  (_name, desc, decode) => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(bytes, (content) => {
        let message: Message;
        try {
          message = fromBinary(desc, content);
        } catch {
          return;
        }
        decodeOrRefuse(desc, decode, message);
      }),
      { numRuns: 2000 },
    );
  },
);
