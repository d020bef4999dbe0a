import { type Libc, loadLibc } from "../../platform/libc.js";

/**
 * How much is read so in one turn of the event loop: whoever reads on and on
 * without waiting for anything would keep everything else from going on.
 */
const MAX_TURN_BYTES = 1024 * 1024;

const RWF_NOWAIT = 8;

let preadv2: Libc["preadv2"];
let readInTurn = 0;

/**
 * Reads what the page cache holds, by preadv2(2) with RWF_NOWAIT. Node reads in
 * another thread, since a disk may be slow. But output that somebody follows is
 * nearly always in memory, and then the way to the other thread and back takes
 * four times as long as the copy of 64 KiB.
 * @returns whether it has filled `into`. It has not where some of it would have to
 * be waited for, at the end of the file, and where the platform cannot do this.
 */
export function readCached(fd: number, into: Buffer, offset: number): boolean {
  if (preadv2 === undefined || readInTurn >= MAX_TURN_BYTES) return false;
  if (readInTurn === 0) {
    setImmediate(() => {
      readInTurn = 0;
    });
  }
  readInTurn += into.length;
  return preadv2(fd, into, offset, RWF_NOWAIT) === into.length;
}

/**
 * Whether it reads nothing more before the next turn of the event loop. To wait for that
 * takes less than to have another thread read.
 */
export function isTurnSpent(): boolean {
  return readInTurn >= MAX_TURN_BYTES;
}

/** Makes readCached work. Until this has resolved, nothing counts as cached. */
export async function loadReadCached(): Promise<void> {
  ({ preadv2 } = await loadLibc());
}
