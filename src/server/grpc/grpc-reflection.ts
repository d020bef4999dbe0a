import { type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/**
 * Makes the service that tells clients such as grpcurl and `buf curl` what is served.
 * It leaves the health service out: they reject the descriptor that comes with it, and
 * all others with it.
 */
export function createReflection(file: DescFile): ReflectionService {
  const files = [...filesOf(file)].map(encodeFile);
  // Nothing of a definition but its files is read.
  const definition = { [file.name]: { fileDescriptorProtos: files } };
  return new ReflectionService(definition as unknown as PackageDefinition);
}

/** Returns a file and all that it imports. */
function filesOf(file: DescFile, found = new Set<DescFile>()): Set<DescFile> {
  if (!found.has(file)) {
    found.add(file);
    for (const dependency of file.dependencies) filesOf(dependency, found);
  }
  return found;
}

function encodeFile(file: DescFile): Buffer {
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto));
}
