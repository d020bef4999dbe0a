import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** dash is Debian's /bin/sh, bash macOS's, busybox Alpine's. */
const PROGRAMS = ["dash", "bash", "busybox"];

/** Each shell that may be /bin/sh somewhere, under that name: [program, path of a `sh`]. */
export function shells(): [program: string, path: string][] {
  const dir = mkdtempSync(join(tmpdir(), "procman-test-shells-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return PROGRAMS.flatMap((program) => {
    const found = ["/bin", "/usr/bin"].map((bin) => join(bin, program)).find(existsSync);
    if (found === undefined) {
      if (process.env["CI"]) throw new Error(`CI needs ${program}`);
      console.warn(`skipped: ${program} is not installed`);
      return [];
    }
    mkdirSync(join(dir, program));
    const path = join(dir, program, "sh");
    symlinkSync(found, path);
    return [[program, path]];
  });
}
