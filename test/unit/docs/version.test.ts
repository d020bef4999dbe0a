import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(join(ROOT, file), "utf8")) as { version: string }).version;
}

test("package.json alone states the version; npm copies it to its lock file", () => {
  const version = versionIn("package.json");
  expect(versionIn("package-lock.json")).toBe(version);
  const stated = new RegExp(`(?<![\\d.])${version.replaceAll(".", "\\.")}(?![\\d.])`);
  const files = execFileSync("git", ["ls-files"], { cwd: ROOT, encoding: "utf8" })
    .trim()
    .split("\n");
  const own = files.filter(
    (file) => !/^(package(-lock)?\.json|CHANGELOG\.md|test\/.*)$/.test(file),
  );
  expect(own.length).toBeGreaterThan(200);
  expect(own.filter((file) => stated.test(readFileSync(join(ROOT, file), "latin1")))).toEqual([]);
});
