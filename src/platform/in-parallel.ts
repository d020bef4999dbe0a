/**
 * Calls `act` for every item, for at most `concurrency` of them at a time, and
 * returns the results in the items' order. The first failure is thrown, and no
 * further item is begun then.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  act: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await act(items[index] as Item);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, work));
    return results;
  } finally {
    next = items.length;
  }
}
