import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** Where Debian puts the sources of Go's packages. */
const DEBIAN_GOPATH = "/usr/share/gocode";

/** For this repository: what one test compiled, others need not compile again. */
export const GO_CACHE = join(ROOT, "node_modules/.cache/procman-go");

/** Why Go cannot be tested here; undefined where it can. */
export function goIsMissing(): string | undefined {
  const packages = join(DEBIAN_GOPATH, "src/google.golang.org");
  const parts = ["/usr/bin/go", "/usr/bin/protoc-gen-go", join(packages, "grpc/go.mod")];
  const missing = parts.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `Go: no ${missing.join(", ")}`;
}

/** Compiles a program of one file, with the contract's messages as procman.example/gen/procmanv1. */
export async function buildGo(source: string, dir: string): Promise<string> {
  const gopath = join(dir, "gopath");
  const program = join(gopath, "src/procman.example/program");
  mkdirSync(program, { recursive: true });
  copyFileSync(source, join(program, "main.go"));
  await run("protoc", [
    `-I${join(ROOT, "proto")}`,
    `--go_out=${join(gopath, "src")}`,
    "--go_opt=Mprocman/v1/procman.proto=procman.example/gen/procmanv1",
    "procman/v1/procman.proto",
  ]);
  const binary = join(dir, "program");
  const env = {
    ...process.env,
    GO111MODULE: "off",
    GOPATH: `${gopath}:${DEBIAN_GOPATH}`,
    GOCACHE: GO_CACHE,
  };
  await run("/usr/bin/go", ["build", "-o", binary, "procman.example/program"], { env });
  return binary;
}
