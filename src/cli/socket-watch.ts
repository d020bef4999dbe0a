import { lstatSync } from "node:fs";
import { dirname } from "node:path";
import { type PathWatch, WATCHED_POLL_RATIO, watchPath } from "../platform/watch-path.js";

const POLL_INTERVAL_MS = 20;

/** Notices at once that a server has made its socket, where the kernel tells of it. */
export class SocketWatch {
  readonly #path: string;
  readonly #pollIntervalMs: number;
  /** The socket that `change` has told of. */
  #inode: number | undefined;
  #watch: PathWatch | undefined;
  #wake = () => {};

  /** Call `close` when done. @param path the socket's */
  constructor(path: string, { pollIntervalMs = POLL_INTERVAL_MS } = {}) {
    this.#path = path;
    this.#pollIntervalMs = pollIntervalMs;
    const onLost = () => (this.#watch = undefined);
    this.#watch = watchPath(dirname(path), () => this.#isOther() && this.#wake(), onLost);
  }

  /**
   * Resolves when there is another socket than it told of before, or once in a while, since
   * the kernel's notices can be lost.
   * @param end ends the wait, too: that of the server which is to make the socket. Without
   * one the caller may wait for something that no notice tells of, so the while is short.
   */
  async change(end?: Promise<unknown>): Promise<void> {
    if (!this.#isOther()) {
      const isTold = this.#watch !== undefined && end !== undefined;
      const intervalMs = this.#pollIntervalMs * (isTold ? WATCHED_POLL_RATIO : 1);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, intervalMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        void end?.then(this.#wake);
      });
    }
    this.#inode = inodeOf(this.#path);
  }

  close(): void {
    this.#watch?.close();
  }

  #isOther(): boolean {
    const inode = inodeOf(this.#path);
    return inode !== undefined && inode !== this.#inode;
  }
}

/** Whether nothing has that path. Where this user may not know, there is something. */
export function isMissing(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}
