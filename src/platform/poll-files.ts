import { statSync } from "node:fs";
import { codeOf } from "./errno.js";

const POLL_INTERVAL_MS = 1000;

/**
 * Calls back when one of the files may have changed; the first time after a second in any
 * case, so that a change is found that was made between the caller's own first reading
 * and this. Files are polled, since renewing one often replaces it, or a link on the way
 * to it. Returns how to stop that.
 */
export function pollFiles(paths: readonly string[], onChange: () => void): () => void {
  let known: string | undefined;
  const timer = setInterval(() => {
    const versions = paths.map(versionOf).join();
    if (versions === known) return;
    known = versions;
    onChange();
  }, POLL_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Returns a text that is another one once the file is. */
function versionOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return codeOf(error) ?? "unreadable";
  }
}
