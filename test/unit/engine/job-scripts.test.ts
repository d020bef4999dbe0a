import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { JobScripts, PACKAGE_SCRIPTS_DIR } from "../../../src/engine/local/runner/job-scripts.js";
import { tempDir } from "../../helpers/temp-dir.js";

const NAMES = [
  "carry.sh",
  "feed.sh",
  "identify.sh",
  "input.sh",
  "pipe.sh",
  "runner.sh",
  "terminal.sh",
];

function newPackage() {
  const packageDir = join(tempDir(), "package");
  mkdirSync(packageDir);
  for (const name of NAMES) cpSync(join(PACKAGE_SCRIPTS_DIR, name), join(packageDir, name));
  const copiesDir = join(tempDir(), "scripts");
  return { packageDir, copiesDir, scripts: new JobScripts(copiesDir, packageDir) };
}

test("are the package's as long as it has all of them, also those of its next version", () => {
  const { packageDir, copiesDir, scripts } = newPackage();
  expect(scripts.dir()).toBe(packageDir);
  rmSync(packageDir, { recursive: true });
  expect(dirname(scripts.dir())).toBe(copiesDir);
  mkdirSync(packageDir);
  for (const name of NAMES) {
    expect(dirname(scripts.dir())).toBe(copiesDir);
    writeFileSync(join(packageDir, name), "");
  }
  expect(scripts.dir()).toBe(packageDir);
});

test("are copied where one is gone: all of them, private, again where a copy is damaged", () => {
  const { packageDir, scripts } = newPackage();
  rmSync(join(packageDir, "identify.sh"));
  const dir = scripts.dir();
  const expectWhole = () => {
    for (const name of NAMES) {
      const content = readFileSync(join(PACKAGE_SCRIPTS_DIR, name), "utf8");
      expect(readFileSync(join(dir, name), "utf8")).toBe(content);
      expect(lstatSync(join(dir, name)).mode & 0o777).toBe(0o600);
    }
  };
  expectWhole();
  expect(lstatSync(dir).mode & 0o777).toBe(0o700);
  rmSync(join(dir, "feed.sh"));
  // As a power cut may leave it.
  writeFileSync(join(dir, "runner.sh"), "");
  expect(scripts.dir()).toBe(dir);
  expectWhole();
});

test("that can neither be found nor copied are an error that says so", () => {
  const { packageDir, copiesDir, scripts } = newPackage();
  rmSync(packageDir, { recursive: true });
  rmSync(dirname(copiesDir), { recursive: true });
  expect(() => scripts.dir()).toThrow(
    expect.objectContaining({
      reason: "STORAGE_UNAVAILABLE",
      message: expect.stringContaining(`since those of ${packageDir} are gone: ENOENT`),
    }),
  );
  // The state directory is not made by that.
  expect(existsSync(dirname(copiesDir))).toBe(false);
  expect(() => new JobScripts(copiesDir, packageDir).dir()).toThrow(
    "which were gone when this server was started: ENOENT",
  );
});
