import type { Progress } from "../../contract/job.js";

/** What a line tells; a percentage that follows from the counts may be left out. */
export type Found = { readonly unit: string } & {
  readonly [field in Exclude<keyof Progress, "unit" | "text">]?: Progress[field] | undefined;
};

/**
 * Knows one way of telling progress. The line is at most 4 KiB, without escape
 * sequences and URLs. Expressions must be linear: bounded quantifiers, and a
 * look behind that lets a number begin only where it begins.
 */
export type Recogniser = (line: string) => Found | undefined;
