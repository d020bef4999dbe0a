import { chmodSync, chownSync, existsSync, mkdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { foreignOwner, makePrivateDirs } from "../../../src/platform/own-dir.js";
import { tempDir } from "../../helpers/temp-dir.js";

const isRoot = process.geteuid?.() === 0;
const SOMEBODY = 4242;

describe("foreignOwner", () => {
  test("one's own directory, a link to it, and one that is not there yet", () => {
    const dir = tempDir();
    mkdirSync(join(dir, "own"));
    symlinkSync("own", join(dir, "link"));
    expect(foreignOwner(join(dir, "own"))).toBeUndefined();
    expect(foreignOwner(join(dir, "link"))).toBeUndefined();
    expect(foreignOwner(join(dir, "missing/below"))).toBeUndefined();
  });

  test.skipIf(isRoot)("for a user, a directory of root's", () => {
    expect(foreignOwner("/")).toContain("belongs to another user (uid 0");
  });

  describe.runIf(isRoot)("for root", () => {
    test("somebody's directory, and a link to it", () => {
      const dir = tempDir();
      mkdirSync(join(dir, "theirs"));
      chownSync(join(dir, "theirs"), SOMEBODY, SOMEBODY);
      symlinkSync("theirs", join(dir, "link"));
      for (const name of ["theirs", "link"]) {
        expect(foreignOwner(join(dir, name))).toContain(
          `${join(dir, name)} belongs to another user (uid ${SOMEBODY}; this is root)`,
        );
      }
    });

    test("a directory of its own in somebody's, also before it is made, and by a link", () => {
      const dir = tempDir();
      const home = join(dir, "home");
      mkdirSync(join(home, ".cache"), { recursive: true });
      chownSync(home, SOMEBODY, SOMEBODY);
      symlinkSync(join(home, ".cache"), join(dir, "link"));
      for (const path of [join(home, ".cache"), join(home, ".cache/procman"), join(dir, "link")]) {
        expect(foreignOwner(path)).toContain(`${home} belongs to another user`);
      }
    });

    test("below a directory in which every user may rename what is there", () => {
      const dir = tempDir();
      mkdirSync(join(dir, "own"));
      chmodSync(dir, 0o777);
      expect(foreignOwner(join(dir, "own"))).toContain(`${dir} can be written by every user`);
      chmodSync(dir, 0o1777);
      expect(foreignOwner(join(dir, "own"))).toBeUndefined();
    });
  });
});

describe("makePrivateDirs", () => {
  test("makes those above too, for their owner alone, and takes what is there", () => {
    const dir = tempDir();
    makePrivateDirs(join(dir, "a/b/c"));
    makePrivateDirs(join(dir, "a/b/c"));
    for (const path of ["a", "a/b", "a/b/c"]) {
      expect(statSync(join(dir, path)).mode & 0o777).toBe(0o700);
    }
  });

  test("ends where nothing can be made, or a file is in the way", () => {
    expect(() => makePrivateDirs("/dev/null/x")).toThrow("ENOTDIR");
    expect(() => makePrivateDirs("/dev/null")).toThrow("EEXIST");
    if (existsSync("/proc/self")) expect(() => makePrivateDirs("/proc/x/y")).toThrow("ENOENT");
  });
});
