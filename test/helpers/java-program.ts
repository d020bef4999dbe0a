import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);
const GRPC_PLUGIN = "/usr/bin/grpc_java_plugin";
const JARS = readFileSync(join(ROOT, "examples/java/debian.classpath"), "utf8").trim().split("\n");

/** Why Java cannot be tested here; undefined where it can. */
export function javaIsMissing(): string | undefined {
  const missing = ["/usr/bin/javac", GRPC_PLUGIN, ...JARS].filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `Java: no ${missing.join(", ")}`;
}

/** Compiles a program of one file, with the contract's and errors' classes; returns how to run it. */
export async function buildJava(source: string, dir: string): Promise<[string, ...string[]]> {
  const [generated, classes] = [join(dir, "generated"), join(dir, "classes")];
  mkdirSync(generated);
  await run("protoc", [
    `-I${join(ROOT, "proto")}`,
    `--java_out=${generated}`,
    `--plugin=protoc-gen-grpc-java=${GRPC_PLUGIN}`,
    `--grpc-java_out=${generated}`,
    "procman/v1/procman.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
  ]);
  const sources = readdirSync(generated, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".java"))
    .map((path) => join(generated, path));
  const classPath = [classes, ...JARS].join(":");
  const options = ["-proc:none", "-nowarn", "-d", classes, "-cp", classPath];
  await run("/usr/bin/javac", [...options, source, ...sources]);
  // It starts faster so, and is short-lived.
  const quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
  return ["/usr/bin/java", ...quick, "-cp", classPath, basename(source, ".java")];
}
