import {
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";

export * from "../../gen/procman/v1/procman_pb.js";

type Methods = (typeof ProcmanService)["method"];

/** A grpc-js service definition whose messages are those of protobuf-es. */
export type ProcmanGrpcDefinition = {
  readonly [Name in keyof Methods]: MethodDefinition<
    MessageShape<Methods[Name]["input"]>,
    MessageShape<Methods[Name]["output"]>
  >;
};

/**
 * The service for users of grpc-js:
 * `new (makeClientConstructor(procmanGrpcDefinition, "ProcmanService"))(target, credentials)`.
 * Its messages are made with `create` of @bufbuild/protobuf and the schemas exported here.
 */
export const procmanGrpcDefinition = Object.fromEntries(
  Object.entries<DescMethod>(ProcmanService.method).map(([name, method]) => [name, define(method)]),
) as unknown as ProcmanGrpcDefinition;

function define(method: DescMethod): MethodDefinition<unknown, unknown> {
  const serialize = (schema: DescMessage) => (message: unknown) =>
    Buffer.from(toBinary(schema, message as MessageShape<DescMessage>));
  const deserialize = (schema: DescMessage) => (bytes: Buffer) => fromBinary(schema, bytes);
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    originalName: method.localName,
    requestStream: false,
    responseStream: method.methodKind === "server_streaming",
    requestSerialize: serialize(method.input),
    requestDeserialize: deserialize(method.input),
    responseSerialize: serialize(method.output),
    responseDeserialize: deserialize(method.output),
  };
}
