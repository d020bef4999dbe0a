import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const DIR = join(ROOT, "dist/web");
const KB = 1000;

const files = readdirSync(DIR, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".gz"))
  .map((name) => ({ name: name.replace(/\.gz$/, ""), bytes: statSync(join(DIR, name)).size }));

const sum = (some: typeof files) => some.reduce((bytes, file) => bytes + file.bytes, 0);

describe("the built page", () => {
  test("is small: under 250 kB in all, under 100 kB before a log is opened", () => {
    const html = gunzipSync(readFileSync(join(DIR, "index.html.gz"))).toString();
    const first = files.filter(({ name }) => name === "index.html" || html.includes(name));
    console.log(`page: ${sum(first)} bytes at first, ${sum(files)} in all, compressed`);
    expect(first.length).toBeGreaterThanOrEqual(4);
    expect(sum(first)).toBeLessThan(100 * KB);
    expect(sum(files)).toBeLessThan(250 * KB);
  });

  test("has no code in its markup, and asks no other host for anything", () => {
    const html = gunzipSync(readFileSync(join(DIR, "index.html.gz"))).toString();
    expect(html).not.toMatch(/<style|style=|<script(?![^>]*\ssrc=)|\son\w+=|https?:/);
  });

  test("names the licenses of what is in it", () => {
    const licenses = readFileSync(join(DIR, "LICENSES.txt"), "utf8");
    for (const name of ["preact", "@preact/signals", "@xterm/xterm", "@tanstack/virtual-core"]) {
      expect(licenses).toContain(`${name} `);
    }
  });
});
