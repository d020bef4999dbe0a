import { spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/*
 * Builds the native runner of jobs where there is a C compiler that can. Elsewhere a shell
 * runs them: that is slower, and all the same otherwise.
 */

const ROOT = join(import.meta.dirname, "..");
const SOURCE = join(ROOT, "src/engine/local/runner.c");
const DIR = join(ROOT, "dist/src/engine/local");
const NAME = `runner-${process.platform}-${process.arch}`;

// It has no C library, so nothing is to be added that calls one. The other options have it
// small: each of its pages costs a job some time.
const FLAGS =
  "-std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-stack-protector " +
  "-fno-asynchronous-unwind-tables -fno-pie -no-pie -static -nostdlib -s " +
  "-Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-z,noexecstack";

/**
 * Made beside it and renamed: jobs that run may be executing the one from before.
 * @returns undefined where there is no such compiler; why it could not, or ""
 */
function build(compiler) {
  const dir = mkdtempSync(join(DIR, "build-"));
  try {
    const file = join(dir, NAME);
    const args = [...FLAGS.split(" "), "-o", file, SOURCE];
    const { error, status, stderr } = spawnSync(compiler, args, { encoding: "utf8" });
    if (error) return undefined;
    if (status !== 0) return stderr.trim() || `${compiler} failed`;
    renameSync(file, join(DIR, NAME));
    return "";
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (process.platform === "linux") {
  rmSync(join(DIR, NAME), { force: true });
  const compilers = new Set([process.env.CC || "cc", "gcc", "clang"]);
  let complaint = "no C compiler was found";
  for (const compiler of compilers) {
    const result = build(compiler);
    if (result !== undefined) complaint = result;
    if (complaint === "") break;
  }
  if (complaint !== "") console.log(`A shell will run the jobs, which is slower: ${complaint}`);
}
