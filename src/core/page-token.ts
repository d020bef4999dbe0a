import type { JobFilter } from "../contract/procman.js";
import { argumentError } from "../contract/errors.js";
import { filterDigest } from "./job-filter.js";

/** Where a page of List ends. Opaque to clients, and good for the same filters only. */
export function formatPageToken(lastSequence: number, filter: JobFilter): string {
  return Buffer.from(`1.${lastSequence}.${filterDigest(filter)}`).toString("base64url");
}

/**
 * The sequence number below which the next page begins.
 * @throws ProcmanError INVALID_PAGE_TOKEN
 */
export function parsePageToken(token: string, filter: JobFilter): number {
  const text = Buffer.from(token, "base64url").toString();
  const [version, sequence, digest] = text.split(".");
  const broken = version !== "1" || !/^\d{1,15}$/.test(sequence ?? "");
  if (broken || digest !== filterDigest(filter)) {
    const description = broken ? "is not one that List returned" : "is for other filters";
    throw argumentError("INVALID_PAGE_TOKEN", [{ field: "page_token", description }]);
  }
  return Number(sequence);
}
