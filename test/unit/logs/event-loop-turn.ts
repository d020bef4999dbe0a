import { stat } from "node:fs/promises";

/** Lets everything that is ready happen. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets the file operations that have begun end, and what follows from them: their threads take them in turn. */
export async function fileOperationsDone(): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(Array.from({ length: 16 }, () => stat("/")));
    await eventLoopTurn();
  }
}
