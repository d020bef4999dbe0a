import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";

const STANDARD_STREAMS = 3;
const O_CLOEXEC = 0o2000000;

/**
 * Returns the descriptors beyond the standard streams that a child would inherit: what
 * this process's own parent had open (`procman run … 200>lockfile`), since Node makes all
 * that it opens with O_CLOEXEC. A child that runs on with them keeps a lock, or the end of
 * a pipe, for as long as it lives.
 *
 * Elsewhere than on Linux there are none: on macOS libuv's posix_spawn closes all others.
 */
export function inheritableDescriptors(): number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc/self/fd").map(Number).filter(isInheritable);
}

/**
 * Calls `spawn` with stdio for child_process that keeps such descriptors from the child:
 * /dev/null takes their places there.
 * @param streams what the standard streams are
 */
export function withoutInherited<T>(
  streams: readonly ["ignore" | number, "ignore" | number, "ignore" | number],
  spawn: (stdio: ("ignore" | number)[]) => T,
): T {
  const inheritable = inheritableDescriptors();
  if (inheritable.length === 0) return spawn([...streams]);
  const nothing = openSync("/dev/null", "r");
  try {
    const stdio = Array.from(
      { length: Math.max(...inheritable) + 1 },
      (): "ignore" | number => "ignore",
    );
    streams.forEach((stream, fd) => (stdio[fd] = stream));
    // "ignore" would leave these as they are.
    for (const fd of inheritable) stdio[fd] = nothing;
    return spawn(stdio);
  } finally {
    closeSync(nothing);
  }
}

function isInheritable(fd: number): boolean {
  if (fd < STANDARD_STREAMS) return false;
  try {
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
    const flags = /^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "";
    return (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    // It is closed by now, as the one that listed the directory.
    return false;
  }
}
