import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");

/** Every document of the repository itself. */
function documents(): string[] {
  const names = (dir: string) =>
    readdirSync(join(ROOT, dir)).flatMap((name) => (name.endsWith(".md") ? join(dir, name) : []));
  return [...names("."), ...names("docs"), ...names("bench")];
}

/** Paths of the repository that are named as code, and files that are linked to. */
function namedPaths(document: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  const code = [...text.matchAll(/`((?:src|test|proto|bench|examples|docs)\/[\w./-]+)`/g)];
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)];
  return [
    ...code.map(([, path]) => path as string),
    ...links.map(([, path]) => relative(ROOT, join(ROOT, dirname(document), path as string))),
  ];
}

test.each(documents())("every path that %s names is there", (document) => {
  const paths = namedPaths(document);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test("the architecture's page names paths, so the test above says something", () => {
  expect(namedPaths("docs/architecture.md").length).toBeGreaterThan(30);
});
