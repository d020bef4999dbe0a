import { type FileHandle, rename, writeFile } from "node:fs/promises";
import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import { readSmallFile } from "../../../platform/small-file.js";

/** How many senders are remembered: those heard of most recently. */
const MAX_SENDERS = 64;

/** An addition to stdin.log: a sender's bytes, then the ones that end a terminal's input. */
export interface Addition {
  readonly sender: string;
  readonly dataBytes: number;
  readonly endBytes: number;
}

/**
 * Counts how many bytes of a job's input came from which sender, in stdin.senders.
 *
 * An addition is recorded with the size of stdin.log before it is made. The size
 * afterwards then tells how much of it was accepted, even where the server died or
 * the disk was full in the middle. Nothing is synced, since a power cut that would
 * lose it also ends the command.
 */
export class InputSenders {
  /** The size of stdin.log when this was read. */
  readonly logBytes: number;
  /** Whether the last addition has ended a terminal's input. */
  readonly hasEnd: boolean;
  readonly #path: string;
  /** How many bytes of each sender were accepted. The last one made the last addition. */
  readonly #accepted: Map<string, number>;

  private constructor(path: string, text: string, logBytes: number) {
    const [addition = "", ...lines] = text.split("\n").slice(0, -1);
    const [sizeBefore = 0, dataBytes = 0, endBytes = 0] = addition.split(" ").map(Number);
    const addedBytes = logBytes - sizeBefore;
    this.logBytes = logBytes;
    this.hasEnd = endBytes > 0 && addedBytes === dataBytes + endBytes;
    this.#path = path;
    this.#accepted = new Map(
      lines.map((line, index) => {
        const [accepted, sender = ""] = line.split(" ");
        const isLast = index === lines.length - 1;
        return [sender, Number(accepted) + (isLast ? Math.min(addedBytes, dataBytes) : 0)];
      }),
    );
  }

  /** Reads a consistent state, even while an addition is being made. */
  static async read(dir: JobDir, log: FileHandle): Promise<InputSenders> {
    for (let text = readSenders(dir.inputSenders); ; ) {
      const { size } = await log.stat();
      const again = readSenders(dir.inputSenders);
      if (again === text) return new InputSenders(dir.inputSenders, text, size);
      text = again;
    }
  }

  /** Returns how many bytes of this sender were accepted. */
  acceptedOf(sender: string): number {
    return this.#accepted.get(sender) ?? 0;
  }

  /** Records an addition that is about to be made at the log's end. */
  async expect({ sender, dataBytes, endBytes }: Addition): Promise<void> {
    const accepted = this.acceptedOf(sender);
    this.#accepted.delete(sender);
    this.#accepted.set(sender, accepted);
    const senders = [...this.#accepted]
      .slice(-MAX_SENDERS)
      .map(([name, count]) => `${count} ${name}`);
    const lines = [`${this.logBytes} ${dataBytes} ${endBytes}`, ...senders];
    await writeFile(`${this.#path}.tmp`, `${lines.join("\n")}\n`, { mode: 0o600 });
    await rename(`${this.#path}.tmp`, this.#path);
  }
}

function readSenders(path: string): string {
  try {
    return readSmallFile(path).text;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  }
}
