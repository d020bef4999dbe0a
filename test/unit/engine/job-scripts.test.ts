import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import { JobScripts, PACKAGE_SCRIPTS_DIR } from "../../../src/engine/local/runner/job-scripts.js";
import { NATIVE_RUNNER } from "../../../src/engine/local/runner/native-runner.js";
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

/** @param nativeRunner what its native runner has; absent: there is none */
function newPackage(nativeRunner?: Uint8Array) {
  const packageDir = join(tempDir(), "package");
  mkdirSync(packageDir);
  for (const name of NAMES) cpSync(join(PACKAGE_SCRIPTS_DIR, name), join(packageDir, name));
  if (nativeRunner) {
    writeFileSync(join(packageDir, NATIVE_RUNNER), nativeRunner, { mode: 0o755 });
  }
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

/** Not text, as no program is. */
const PROGRAM = Buffer.from([0x7f, 0x45, 0xff, 0x00, 0xc3, 0x28]);

test("are copied with the native runner, which can be executed by its owner alone", () => {
  const { packageDir, scripts } = newPackage(PROGRAM);
  const inPackage = join(packageDir, NATIVE_RUNNER);
  expect(scripts.programs()).toMatchObject({ scriptsDir: packageDir, nativeRunner: inPackage });
  rmSync(packageDir, { recursive: true });
  const { scriptsDir, nativeRunner = "" } = scripts.programs();
  expect(nativeRunner).toBe(join(scriptsDir, NATIVE_RUNNER));
  const expectWhole = () => {
    expect(readdirSync(scriptsDir).sort()).toEqual([...NAMES, NATIVE_RUNNER].sort());
    expect(readFileSync(nativeRunner)).toEqual(PROGRAM);
    expect(lstatSync(nativeRunner).mode & 0o777).toBe(0o700);
    for (const name of NAMES) expect(lstatSync(join(scriptsDir, name)).mode & 0o777).toBe(0o600);
  };
  expectWhole();
  rmSync(nativeRunner);
  expect(scripts.programs()).toMatchObject({ scriptsDir, nativeRunner });
  expectWhole();
});

test("are copied where the native runner alone is gone, and not missed where there was none", () => {
  const { packageDir, copiesDir, scripts } = newPackage(PROGRAM);
  rmSync(join(packageDir, NATIVE_RUNNER));
  expect(dirname(scripts.dir())).toBe(copiesDir);
  writeFileSync(join(packageDir, NATIVE_RUNNER), PROGRAM);
  expect(scripts.dir()).toBe(packageDir);
  const without = newPackage();
  writeFileSync(join(without.packageDir, NATIVE_RUNNER), PROGRAM);
  expect(without.scripts.programs()).toMatchObject({
    scriptsDir: without.packageDir,
    nativeRunner: undefined,
  });
  rmSync(without.packageDir, { recursive: true });
  expect(readdirSync(without.scripts.dir()).sort()).toEqual(NAMES);
});

test("have a copy of their own for each native runner", () => {
  const copies = [undefined, PROGRAM, Buffer.from("another")].map((program) => {
    const { packageDir, scripts } = newPackage(program);
    rmSync(packageDir, { recursive: true });
    return basename(scripts.dir());
  });
  expect(new Set(copies).size).toBe(3);
});
