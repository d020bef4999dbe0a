import { watch } from "node:fs";

/** A watch that the kernel keeps. */
export interface PathWatch {
  close(): void;
}

/**
 * Asks the kernel to tell of changes to a file or a directory.
 * @returns undefined where it will not, for whatever reason; `onLost` says that
 * a watch which was there has ended.
 */
export type WatchPath = (
  path: string,
  onChange: () => void,
  onLost: () => void,
) => PathWatch | undefined;

/** The kernel's watches, through inotify on Linux and kqueue on macOS. */
export const watchPath: WatchPath = (path, onChange, onLost) => {
  try {
    const watcher = watch(path, () => onChange());
    watcher.on("error", () => {
      watcher.close();
      onLost();
    });
    return watcher;
  } catch {
    // ENOENT, or a limit that all processes of the user share (ENOSPC, EMFILE).
    return undefined;
  }
};
