import type { BenchmarkOptions } from "./benchmark-options.js";

/**
 * Measures all items one after the other, round by round, so that what slows the
 * machine down for a while slows all of them. The first round is not counted, since
 * everything is compiled and cached after it.
 * @returns for each item what its rounds gave
 */
export async function inTurns<Item, Result>(
  items: readonly Item[],
  { rounds, isSmoke }: BenchmarkOptions,
  measure: (item: Item) => Promise<Result>,
): Promise<readonly (readonly Result[])[]> {
  const results = items.map(() => [] as Result[]);
  for (let round = isSmoke ? 1 : 0; round <= rounds; round += 1) {
    for (const [index, item] of items.entries()) {
      const result = await measure(item);
      if (round > 0) results[index]?.push(result);
    }
  }
  return results;
}
