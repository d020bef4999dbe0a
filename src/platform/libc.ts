import { constants } from "node:fs";
import { promisify } from "node:util";
import type { LibraryHandle } from "koffi";
import { inheritableDescriptors } from "./inherited-descriptors.js";

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
  /**
   * flock(2), exclusive and without waiting. Linux only.
   * @returns 0, or the errno
   */
  readonly flock: ((fd: number) => number) | undefined;
  /**
   * syncfs(2), in one of libuv's threads: all that was written before to the file system of
   * that descriptor is on disk then. Linux only.
   * @returns whether it is
   */
  readonly syncfs: ((fd: number) => Promise<boolean>) | undefined;
  /**
   * ioctl(2) with TIOCSWINSZ: sets the size of a terminal, rows and columns in one step.
   * @returns 0, or the errno
   */
  readonly setWindowSize: ((fd: number, rows: number, columns: number) => number) | undefined;
  readonly posixSpawn: PosixSpawn | undefined;
}

/** posix_spawn(3) and what its children need. Linux with glibc 2.29 or later. */
export interface PosixSpawn {
  /**
   * Starts a program as the leader of a new session, in that directory, with
   * /dev/null as its standard streams, no other descriptor, and every signal at its
   * default. One of libuv's threads waits until the program is executed, which takes a
   * moment on a busy machine.
   * @param words the program's absolute path, and its arguments
   * @param stdin a descriptor to be its standard input instead
   * @returns errno is 0, or why there is no process
   */
  spawn(
    words: readonly string[],
    cwd: string,
    env: readonly string[],
    stdin?: number,
  ): Promise<{ readonly errno: number; readonly pid: number }>;
  /** Makes a pipe whose ends are kept from all other programs. @returns undefined where it cannot */
  pipe(): { readonly readFd: number; readonly writeFd: number } | undefined;
  /** A child of this process that has ended and was not waited for, if there is one. */
  endedChild(): number | undefined;
  /** Waits for a child that has ended. @returns whether it had, also where another part of the process has waited for it */
  reap(pid: number): boolean;
}

let loading: Promise<Libc> | undefined;

/** Loads koffi on the first call, since most of what the CLI does needs none of it. */
export function loadLibc(): Promise<Libc> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Libc> {
  try {
    const { default: koffi } = await import("koffi");
    const library = koffi.load(null);
    const setWindowSize = unlessMissing(() => bindSetWindowSize(koffi, library));
    if (process.platform !== "linux") return { ...NOTHING, setWindowSize };
    return {
      preadv2: unlessMissing(() => bindPreadv2(koffi, library)),
      fallocate: unlessMissing(() => bindFallocate(koffi, library)),
      flock: unlessMissing(() => bindFlock(koffi, library)),
      syncfs: unlessMissing(() => bindSyncfs(library)),
      setWindowSize,
      posixSpawn: unlessMissing(() => bindPosixSpawn(koffi, library)),
    };
  } catch {
    // No build of koffi for this machine.
    return NOTHING;
  }
}

const NOTHING: Libc = {
  preadv2: undefined,
  fallocate: undefined,
  flock: undefined,
  syncfs: undefined,
  setWindowSize: undefined,
  posixSpawn: undefined,
};

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

const LOCK_EX = 2;
const LOCK_NB = 4;

function bindFlock(koffi: Koffi, library: LibraryHandle): Libc["flock"] {
  const flock = library.func("int flock(int fd, int operation)");
  return (fd) => (flock(fd, LOCK_EX | LOCK_NB) === 0 ? 0 : koffi.errno());
}

function bindSyncfs(library: LibraryHandle): Libc["syncfs"] {
  const syncfs = promisify(library.func("int syncfs(int fd)").async);
  return async (fd) => (await syncfs(fd)) === 0;
}

/** See ioctl_tty(2). PowerPC's is that of macOS, in sys/ttycom.h. */
const isBsdNumber = process.platform === "darwin" || process.arch === "ppc64";
const TIOCSWINSZ = isBsdNumber ? 0x8008_7467 : 0x5414;

function bindSetWindowSize(koffi: Koffi, library: LibraryHandle): Libc["setWindowSize"] {
  // Declared as the variadic function that it is: on Apple's ARM that is called otherwise.
  const ioctl = library.func("int ioctl(int fd, unsigned long request, ...)");
  return (fd, rows, columns) => {
    const size = Uint16Array.of(rows, columns, 0, 0);
    return ioctl(fd, TIOCSWINSZ, "void *", size) === 0 ? 0 : koffi.errno();
  };
}

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
/** The same on every architecture that Node runs on. */
const O_CLOEXEC = 0o2000000;
const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;
/** The C library's own structures are opaque; these sizes are more than any has. */
const ATTRIBUTES_BYTES = 1024;
const FILE_ACTIONS_BYTES = 512;
const SIGNAL_SET_BYTES = 512;
const SIGINFO_BYTES = 128;

function bindPosixSpawn(koffi: Koffi, library: LibraryHandle): PosixSpawn {
  const posixSpawn = promisify(
    library.func(
      "int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, char **argv, char **env)",
    ).async,
  );
  const initActions = library.func("int posix_spawn_file_actions_init(void *)");
  const addChdir = library.func("int posix_spawn_file_actions_addchdir_np(void *, const char *)");
  const addOpen = library.func(
    "int posix_spawn_file_actions_addopen(void *, int fd, const char *path, int flags, uint mode)",
  );
  const addCloseAll = closeAllAction(library);
  const addDup2 = library.func("int posix_spawn_file_actions_adddup2(void *, int fd, int newFd)");
  const destroyActions = library.func("int posix_spawn_file_actions_destroy(void *)");
  const pipe2 = library.func("int pipe2(_Out_ int *fds, int flags)");
  const waitid = library.func("int waitid(int type, uint id, void *info, int options)");
  const waitpid = library.func("int waitpid(int pid, void *status, int options)");
  const attributes = newSessionAttributes(library);
  const info = Buffer.alloc(SIGINFO_BYTES);
  // si_pid follows si_signo, si_errno and si_code, aligned for a pointer.
  const pidOffset = koffi.sizeof("void *") === 8 ? 16 : 12;
  return {
    async spawn(argv, cwd, env, stdin) {
      const actions = Buffer.alloc(FILE_ACTIONS_BYTES);
      initActions(actions);
      try {
        const added: number[] = [0, 1, 2].map((fd) =>
          fd === 0 && stdin !== undefined
            ? addDup2(actions, stdin, fd)
            : addOpen(actions, fd, "/dev/null", constants.O_RDWR, 0),
        );
        added.push(addCloseAll(actions), addChdir(actions, cwd) as number);
        const failed = added.find((errno) => errno !== 0);
        if (failed !== undefined) return { errno: failed, pid: 0 };
        const pid = [0];
        const words = [
          [...argv, null],
          [...env, null],
        ];
        const errno: number = await posixSpawn(pid, argv[0], actions, attributes, ...words);
        return { errno, pid: pid[0] ?? 0 };
      } finally {
        destroyActions(actions);
      }
    },
    pipe() {
      const fds = [0, 0];
      if (pipe2(fds, O_CLOEXEC) !== 0) return undefined;
      return { readFd: fds[0] as number, writeFd: fds[1] as number };
    },
    endedChild() {
      info.fill(0);
      if (waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT) !== 0) return undefined;
      return info.readInt32LE(pidOffset) || undefined;
    },
    reap: (pid) => waitpid(pid, null, WNOHANG) !== 0,
  };
}

/** Returns what adds an action that closes all but the standard streams. */
function closeAllAction(library: LibraryHandle): (actions: Buffer) => number {
  const FIRST = 3;
  try {
    const closeFrom = library.func("int posix_spawn_file_actions_addclosefrom_np(void *, int)");
    return (actions) => closeFrom(actions, FIRST);
  } catch {
    // Before glibc 2.34 they are named one by one: those that this process was born with.
    const close = library.func("int posix_spawn_file_actions_addclose(void *, int)");
    const inherited = inheritableDescriptors();
    return (actions) =>
      inherited.map((fd): number => close(actions, fd)).find((errno) => errno !== 0) ?? 0;
  }
}

/** A new session, every signal at its default and none blocked: Node ignores SIGPIPE. */
function newSessionAttributes(library: LibraryHandle): Buffer {
  const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
  const signals = Buffer.alloc(SIGNAL_SET_BYTES);
  library.func("int posix_spawnattr_init(void *)")(attributes);
  library.func("int sigfillset(void *)")(signals);
  library.func("int posix_spawnattr_setsigdefault(void *, void *)")(attributes, signals);
  library.func("int sigemptyset(void *)")(signals);
  library.func("int posix_spawnattr_setsigmask(void *, void *)")(attributes, signals);
  const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  library.func("int posix_spawnattr_setflags(void *, short)")(attributes, flags);
  return attributes;
}
