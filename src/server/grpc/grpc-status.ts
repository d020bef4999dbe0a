import { create, toBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { Metadata, type status } from "@grpc/grpc-js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";

/** A failed call's status, as grpc-js takes it. */
export interface GrpcStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Returns the status of an error. Its trailers have the error's details, in a google.rpc.Status. */
export function toGrpcStatus(error: ConnectError): GrpcStatus {
  const { code, rawMessage: message } = error;
  const metadata = new Metadata();
  if (error.details.length > 0) {
    const status = create(StatusSchema, {
      code,
      message,
      details: error.details.map(encodeDetail),
    });
    metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  }
  // Connect's codes are those of gRPC.
  return { code: code as unknown as status, details: message, metadata };
}

function encodeDetail(detail: ConnectError["details"][number]): Any {
  if ("desc" in detail) return anyPack(detail.desc, create(detail.desc, detail.value));
  const typeUrl = `type.googleapis.com/${detail.type}`;
  return create(AnySchema, { typeUrl, value: detail.value });
}
