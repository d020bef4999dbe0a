import { type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.js";
import { file_google_rpc_status } from "../../../gen/google/rpc/status_pb.js";
import { file_grpc_health_v1_health } from "../../../gen/grpc/health/v1/health_pb.js";
import { file_grpc_reflection_v1_reflection } from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { file_grpc_reflection_v1alpha_reflection } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { file_procman_v1_procman } from "../../../gen/procman/v1/procman_pb.js";

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/** All that is served, and what errors carry: no service mentions those messages. */
const FILES = [
  file_procman_v1_procman,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
  file_google_rpc_status,
  file_google_rpc_error_details,
];

/**
 * Makes the service that tells clients such as grpcurl and `buf curl` what is served. The
 * descriptors that come with the health and reflection packages are not used: clients
 * reject them, and all others with them.
 */
export function createReflection(): ReflectionService {
  const files = [...new Set(FILES.flatMap(withDependencies))].map(encodeFile);
  // Nothing of a definition but its files is read.
  const definition = { all: { fileDescriptorProtos: files } };
  return new ReflectionService(definition as unknown as PackageDefinition);
}

/** Returns a file and all that it imports. */
function withDependencies(file: DescFile): DescFile[] {
  return [file, ...file.dependencies.flatMap(withDependencies)];
}

function encodeFile(file: DescFile): Buffer {
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto));
}
