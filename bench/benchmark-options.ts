export interface BenchmarkOptions {
  /** How often everything is measured, in turns. */
  readonly rounds: number;
  /** As little as shows that the benchmark works. Its figures say nothing. */
  readonly isSmoke: boolean;
  /** The parts to run; empty: all. */
  readonly parts: readonly string[];
  /** Numbers of ended jobs to measure with; absent: the benchmark's own. */
  readonly sizes?: readonly number[];
  /** How many jobs run where many are to; absent: the benchmark's own number. */
  readonly running?: number;
  /** The peers to compare with; absent: all that are installed. */
  readonly peers?: readonly string[];
  /** Where charts are written; absent: nowhere. */
  readonly svgDir?: string;
}

/**
 * Returns which of a benchmark's parts to run.
 * @throws Error for a part that it does not have
 */
export function selectParts<Part extends string>(
  all: readonly Part[],
  { parts }: BenchmarkOptions,
): ReadonlySet<Part> {
  const unknown = parts.find((part) => !(all as readonly string[]).includes(part));
  if (unknown !== undefined) throw new Error(`no part ${unknown}; there are ${all.join(", ")}`);
  return new Set(all.filter((part) => parts.length === 0 || parts.includes(part)));
}
