import { promisify } from "node:util";
import type { LibraryHandle } from "koffi";

type Koffi = typeof import("koffi")["default"];

/**
 * Functions of the C library that Node does not have, called through koffi. Each
 * is undefined where the platform, its C library or koffi's build for this machine
 * does not have it, so every caller has another way.
 */
export interface Libc {
  /**
   * preadv2(2) into one buffer, in this thread. Linux only.
   * @returns how many bytes were read, or -1
   */
  readonly preadv2:
    | ((fd: number, into: Buffer, offset: number, flags: number) => number)
    | undefined;
  /**
   * fallocate(2), in one of libuv's threads. Linux only.
   * @returns 0, or the errno
   */
  readonly fallocate:
    | ((fd: number, mode: number, offset: number, length: number) => Promise<number>)
    | undefined;
}

let loading: Promise<Libc> | undefined;

/** Loads koffi on the first call, since most of what the CLI does needs none of it. */
export function loadLibc(): Promise<Libc> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Libc> {
  if (process.platform !== "linux") return NOTHING;
  try {
    const { default: koffi } = await import("koffi");
    const library = koffi.load(null);
    return {
      preadv2: unlessMissing(() => bindPreadv2(koffi, library)),
      fallocate: unlessMissing(() => bindFallocate(koffi, library)),
    };
  } catch {
    // No build of koffi for this machine.
    return NOTHING;
  }
}

const NOTHING: Libc = { preadv2: undefined, fallocate: undefined };

/** Not every C library has every function. */
function unlessMissing<T>(bind: () => T): T | undefined {
  try {
    return bind();
  } catch {
    return undefined;
  }
}

function bindPreadv2(koffi: Koffi, library: LibraryHandle): Libc["preadv2"] {
  const vector = koffi.pointer(koffi.struct({ base: "void *", len: "size_t" }));
  // The variants whose offsets have 64 bits on every machine, here and below.
  const types = ["int", vector, "int", "int64_t", "int"];
  const preadv2 = library.func("preadv64v2", "int64_t", types);
  return (fd, into, offset, flags) =>
    preadv2(fd, [{ base: into, len: into.length }], 1, offset, flags);
}

function bindFallocate(koffi: Koffi, library: LibraryHandle): Libc["fallocate"] {
  const here = library.func("fallocate64", "int", ["int", "int", "int64_t", "int64_t"]);
  const inThread = promisify(here.async);
  return async (...args) => {
    if ((await inThread(...args)) === 0) return 0;
    // The other thread has its errno to itself, so it is tried again in this one.
    return here(...args) === 0 ? 0 : koffi.errno();
  };
}
