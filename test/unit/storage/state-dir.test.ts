import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeStateDir } from "../../../src/storage/state-dir.js";
import { tempDir } from "../../helpers/temp-dir.js";

describe("a state directory's modes", () => {
  const FILES = ["token", "server.log", "jobs/a/state.json", "jobs/a/stdout.log"];

  /** As it is where somebody has copied it, say. */
  function openStateDir(): string {
    const dir = join(tempDir(), "state");
    mkdirSync(join(dir, "jobs/a"), { recursive: true });
    for (const file of FILES) writeFileSync(join(dir, file), "");
    for (const each of [dir, join(dir, "jobs"), join(dir, "jobs/a")]) chmodSync(each, 0o755);
    for (const file of FILES) chmodSync(join(dir, file), 0o644);
    return dir;
  }

  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

  test("all below one that others had access to are put right", () => {
    const dir = openStateDir();
    makeStateDir(dir);
    for (const each of [dir, join(dir, "jobs"), join(dir, "jobs/a")]) {
      expect(modeOf(each), each).toBe("700");
    }
    for (const file of FILES) expect(modeOf(join(dir, file)), file).toBe("600");
  });

  test("in one that was private, those at the top are", () => {
    const dir = openStateDir();
    chmodSync(dir, 0o700);
    makeStateDir(dir);
    expect(modeOf(join(dir, "token"))).toBe("600");
    expect(modeOf(join(dir, "jobs"))).toBe("700");
    expect(modeOf(join(dir, "jobs/a"))).toBe("755");
  });

  test("what a link leads to keeps its mode", () => {
    const dir = openStateDir();
    const elsewhere = join(tempDir(), "elsewhere");
    writeFileSync(elsewhere, "");
    chmodSync(elsewhere, 0o644);
    symlinkSync(elsewhere, join(dir, "link"));
    makeStateDir(dir);
    expect(modeOf(elsewhere)).toBe("644");
  });
});
