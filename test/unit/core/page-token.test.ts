import { describe, expect, test } from "vitest";
import type { JobFilter } from "../../../src/contract/procman.js";
import { filterDigest, formatPageToken, parsePageToken } from "../../../src/core/page-token.js";

describe("filters", () => {
  test("that match the same jobs have the same digest", () => {
    const filter: JobFilter = { statuses: ["running", "failed"], labels: { a: "1", b: "2" } };
    for (const same of [
      { statuses: ["failed", "running", "failed"], labels: { b: "2", a: "1" } },
    ] satisfies JobFilter[]) {
      expect(filterDigest(same)).toBe(filterDigest(filter));
    }
    expect(filterDigest({})).toBe(filterDigest({ statuses: [], labels: {}, name: "" }));
  });

  test("without a name have the digest that they always had", () => {
    expect(filterDigest({})).toBe("ZD1UNxBC");
    expect(filterDigest({ statuses: ["failed"], labels: { a: "1" } })).toBe("z9J9Xw_O");
  });

  test("that do not have others", () => {
    const filters: JobFilter[] = [
      {},
      { statuses: ["running"] },
      { statuses: ["running", "failed"] },
      { labels: { a: "1" } },
      { labels: { a: "2" } },
      { labels: { b: "1" } },
      { labels: { a: "1", b: "1" } },
      { statuses: ["running"], labels: { a: "1" } },
      { name: "a" },
      { statuses: ["running"], name: "a" },
    ];
    const digests = filters.map(filterDigest);
    expect(new Set(digests).size).toBe(filters.length);
    for (const digest of digests) expect(digest).toMatch(/^[\w-]{8}$/);
  });
});

describe("a page token", () => {
  const filter: JobFilter = { statuses: ["running"] };

  test("tells where the page ended, for the same filters", () => {
    for (const sequence of [0, 7, 123_456_789_012_345]) {
      const token = formatPageToken(sequence, filter);
      expect(parsePageToken(token, { statuses: ["running"], labels: {} })).toBe(sequence);
    }
  });

  const refused = (description: string) =>
    expect.objectContaining({
      reason: "INVALID_PAGE_TOKEN",
      message: `page_token: ${description}`,
      violations: [{ field: "page_token", description }],
    });

  test("is for these filters only", () => {
    const token = formatPageToken(7, filter);
    expect(() => parsePageToken(token, {})).toThrow(refused("is for other filters"));
  });

  test.each([
    "",
    "x",
    "1",
    "1.7",
    "2.7.",
    "1.--7.",
    "1.7a.",
    "1.a7.",
    "1..",
    "1.12345678901234567.",
  ])("that begins with %j is none that List returned", (text) => {
    const token = Buffer.from(text + filterDigest(filter)).toString("base64url");
    expect(() => parsePageToken(token, filter)).toThrow(refused("is not one that List returned"));
  });
});
