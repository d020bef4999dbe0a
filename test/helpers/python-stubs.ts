import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** Debian's, for which python3-grpcio is packaged. */
export const PYTHON = "/usr/bin/python3";

/** Why Python cannot be tested here; undefined where it can. */
export function pythonIsMissing(): string | undefined {
  try {
    execFileSync(PYTHON, ["-c", "import grpc, google.protobuf"], { stdio: "ignore" });
    execFileSync("protoc", ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "python3-grpcio, python3-protobuf or protobuf-compiler is not installed";
  }
}

/** The contract's messages and those of errors, generated into `dir`; returns what Python finds them by. */
export async function generatePython(
  dir: string,
  { services = false } = {},
): Promise<Record<string, string>> {
  await run("protoc", [
    `--python_out=${dir}`,
    ...(services
      ? [`--grpc_python_out=${dir}`, "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin"]
      : []),
    `-I${join(ROOT, "proto")}`,
    "procman/v1/procman.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
  ]);
  // The package "google.rpc" stands beside the installed "google.protobuf".
  return { PYTHONPATH: dir, PYTHONDONTWRITEBYTECODE: "1" };
}
