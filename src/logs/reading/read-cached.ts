import { type Libc, loadLibc } from "../../platform/libc.js";

/**
 * The most that is read in one turn of the event loop: whoever reads on and on
 * without waiting for anything would keep everything else from going on.
 */
const TURN_BYTES = 1024 * 1024;

const RWF_NOWAIT = 8;

let preadv2: Libc["preadv2"];
let readInTurn = 0;

/**
 * Reads what is in memory already: preadv2(2) with RWF_NOWAIT, Linux only. Node
 * reads in another thread, since a disk may be slow; but output that somebody
 * follows or looks through is nearly always in memory, and then the way to the
 * other thread and back takes four times as long as the copy of 64 KiB.
 * @returns whether it filled `into`. It does not where some of it has to be
 * waited for, at the end of the file, and where this cannot be done.
 */
export function readCached(fd: number, into: Buffer, offset: number): boolean {
  if (preadv2 === undefined || readInTurn >= TURN_BYTES) return false;
  if (readInTurn === 0) {
    setImmediate(() => {
      readInTurn = 0;
    });
  }
  readInTurn += into.length;
  return preadv2(fd, into, offset, RWF_NOWAIT) === into.length;
}

/** To be waited for before the first read: until then nothing counts as cached. */
export async function loadReadCached(): Promise<void> {
  ({ preadv2 } = await loadLibc());
}
