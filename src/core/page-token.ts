import { createHash } from "node:crypto";
import { argumentError } from "../contract/errors.js";
import type { JobFilter } from "../contract/procman.js";

/** Names the end of a page of List. Opaque to clients, and valid with the same filters only. */
export function formatPageToken(lastSequence: number, filter: JobFilter): string {
  return Buffer.from(`1.${lastSequence}.${filterDigest(filter)}`).toString("base64url");
}

/**
 * Returns the sequence number below which the next page begins.
 * @throws ProcmanError INVALID_PAGE_TOKEN
 */
export function parsePageToken(token: string, filter: JobFilter): number {
  const text = Buffer.from(token, "base64url").toString();
  const [version, sequence, digest] = text.split(".");
  const broken = version !== "1" || !/^-?\d{1,16}$/.test(sequence ?? "");
  if (broken || digest !== filterDigest(filter)) {
    const description = broken ? "is not one that List returned" : "is for other filters";
    throw argumentError("INVALID_PAGE_TOKEN", [{ field: "page_token", description }]);
  }
  return Number(sequence);
}

/** A short text that is the same for filters that match the same jobs. Tokens are bound to it. */
export function filterDigest({ statuses = [], labels = {}, name = "" }: JobFilter): string {
  const byKey = Object.keys(labels)
    .sort()
    .map((key) => [key, labels[key]]);
  // Without a name it is what earlier versions made: their tokens are taken.
  const named = name === "" ? [] : [name];
  const canonical = JSON.stringify([[...new Set(statuses)].sort(), byKey, ...named]);
  return createHash("sha256").update(canonical).digest("base64url").slice(0, 8);
}
