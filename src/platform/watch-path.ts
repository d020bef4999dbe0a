import { watch } from "node:fs";

/**
 * How much less often a path that the kernel watches is polled. It still is, since
 * inotify drops events when its queue is full.
 */
export const WATCHED_POLL_RATIO = 10;

/** A watch that the kernel keeps. To be closed by whoever asked for it. */
export interface PathWatch {
  close(): void;
}

/**
 * Asks the kernel to report changes to a file, or to the entries of a directory.
 * Notices may be lost and may come for no reason, so whoever relies on them polls
 * too: see Ticker.
 * @param onLost called when a watch has ended by itself; nothing is left to close then
 * @returns undefined where the kernel will not watch it, for whatever reason
 */
export type WatchPath = (
  path: string,
  onChange: () => void,
  onLost: () => void,
  options?: {
    /** Whether the process stays for it, also with nothing else to do. Default true. */
    readonly keepsAlive?: boolean;
  },
) => PathWatch | undefined;

/** Watches through inotify on Linux and kqueue on macOS. */
export const watchPath: WatchPath = (path, onChange, onLost, options = {}) => {
  const { keepsAlive: persistent = true } = options;
  try {
    const watcher = watch(path, { persistent }, () => onChange());
    watcher.on("error", () => {
      watcher.close();
      onLost();
    });
    return watcher;
  } catch {
    // It is not there, or a limit that all processes of the user share (ENOSPC, EMFILE).
    return undefined;
  }
};
