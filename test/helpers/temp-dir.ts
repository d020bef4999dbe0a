import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, onTestFinished } from "vitest";

/** A new directory that is gone when the test is over. */
export function tempDir(): string {
  const dir = newDir();
  onTestFinished(() => removeDir(dir));
  return dir;
}

/** A new directory for all tests of a file or a `describe`. */
export function sharedTempDir(): string {
  const dir = newDir();
  afterAll(() => removeDir(dir));
  return dir;
}

function newDir(): string {
  return mkdtempSync(join(tmpdir(), "procman-test-"));
}

function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
