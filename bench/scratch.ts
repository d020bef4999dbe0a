import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a benchmark has made, to be taken away again: the last first, also after Ctrl-C. */
export class Scratch {
  #cleanups: (() => unknown)[] = [];

  defer(cleanUp: () => unknown): void {
    this.#cleanups.push(cleanUp);
  }

  dir(): string {
    const dir = mkdtempSync(join(tmpdir(), "procman-bench-"));
    this.defer(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
    return dir;
  }

  async cleanUp(): Promise<void> {
    const cleanups = this.#cleanups.toReversed();
    this.#cleanups = [];
    for (const cleanUp of cleanups) {
      try {
        await cleanUp();
      } catch (error) {
        console.error("cleaning up:", error);
      }
    }
  }
}
