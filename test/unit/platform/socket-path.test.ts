import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { makeSocketDir, socketPathIn } from "../../../src/platform/socket-path.js";
import { tempDir } from "../../helpers/temp-dir.js";

function newPlaces() {
  const dir = tempDir();
  const places = { runtimeDir: join(dir, "run"), tempDir: join(dir, "tmp") };
  mkdirSync(places.runtimeDir, { mode: 0o700 });
  return { places, long: join(dir, "x".repeat(150)) };
}

test("a path that fits is in the state directory, to the byte", () => {
  const { places } = newPlaces();
  const fits = `/${"x".repeat(85)}`;
  expect(socketPathIn(fits, places)).toBe(`${fits}/procman.sock`);
  expect(socketPathIn(`${fits}x`, places)).toMatch(
    new RegExp(`^${places.runtimeDir}/procman-[0-9a-f]{16}\\.sock$`),
  );
});

test("a longer one is the same before and after the directory is made, and through a link", () => {
  const { places, long } = newPlaces();
  const path = socketPathIn(long, places);
  mkdirSync(long);
  expect(socketPathIn(long, places)).toBe(path);
  const link = `${long}-link`;
  symlinkSync(long, link);
  expect(socketPathIn(link, places)).toBe(path);
  expect(socketPathIn(`${long}2`, places)).not.toBe(path);
});

test.each<[string, (runtimeDir: string) => void]>([
  ["missing", (dir) => rmSync(dir, { recursive: true })],
  ["open to others", (dir) => chmodSync(dir, 0o755)],
  [
    "a link",
    (dir) => {
      rmSync(dir, { recursive: true });
      symlinkSync(tempDir(), dir);
    },
  ],
])("a runtime directory that is %s is not used", (_, spoil) => {
  const { places, long } = newPlaces();
  spoil(places.runtimeDir);
  const path = socketPathIn(long, places);
  expect(dirname(path)).toBe(places.tempDir);
  expect(existsSync(places.tempDir)).toBe(false);
  makeSocketDir(path, places);
  expect(lstatSync(places.tempDir).mode & 0o777).toBe(0o700);
});

test("a socket that was made without a runtime directory is found with one", () => {
  const { places, long } = newPlaces();
  const path = socketPathIn(long, { ...places, runtimeDir: "" });
  makeSocketDir(path, places);
  expect(socketPathIn(long, places)).not.toBe(path);
  writeFileSync(path, "");
  expect(socketPathIn(long, places)).toBe(path);
});

test.each<[string, boolean, (dir: string) => void]>([
  ["open to others", true, (dir) => mkdirSync(dir, { mode: 0o755 })],
  ["a link", true, (dir) => symlinkSync(tempDir(), dir)],
  ["a file", true, (dir) => writeFileSync(dir, "", { mode: 0o700 })],
  [
    "another user's",
    process.geteuid?.() === 0,
    (dir) => {
      mkdirSync(dir, { mode: 0o700 });
      chownSync(dir, 4242, 4242);
    },
  ],
])("a temporary directory that is %s is refused", (_, isPossible, spoil) => {
  if (!isPossible) return;
  const { places, long } = newPlaces();
  const withoutRuntimeDir = { ...places, runtimeDir: "" };
  const path = socketPathIn(long, withoutRuntimeDir);
  spoil(places.tempDir);
  const refusal = `${places.tempDir} is for the sockets of state directories with long paths`;
  expect(() => socketPathIn(long, withoutRuntimeDir)).toThrow(refusal);
  expect(() => makeSocketDir(path, places)).toThrow(refusal);
  // It does not matter to whoever has a runtime directory.
  expect(dirname(socketPathIn(long, places))).toBe(places.runtimeDir);
});
