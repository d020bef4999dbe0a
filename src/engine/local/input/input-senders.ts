import { type FileHandle, readFile, rename, writeFile } from "node:fs/promises";
import { hasCode } from "../../../platform/errno.js";
import type { JobDir } from "../../../core/job-dir.js";

/** The others are forgotten, those first that were not heard of for longest. */
const MAX_SENDERS = 64;

/** What a piece adds to stdin.log: the sender's bytes, then what ends a terminal's input. */
export interface Addition {
  readonly sender: string;
  readonly dataBytes: number;
  readonly endBytes: number;
}

/**
 * How much of a job's input came from whom: the file stdin.senders. What a piece
 * is going to add is written down before it is added, with the log's size, so that
 * the log's size afterwards tells how much of it was taken, also when the server
 * died or the disk was full in the middle. Nothing is synced: what would lose it
 * ends the command too.
 */
export class InputSenders {
  /** The log's size when this was read. */
  readonly logBytes: number;
  /** Whether the last piece ended a terminal's input, and all of that is there. */
  readonly endIsTaken: boolean;
  readonly #path: string;
  /** Bytes of each that were taken; the last one's is the last piece. */
  readonly #taken: Map<string, number>;

  private constructor(path: string, text: string, logBytes: number) {
    const [addition = "", ...lines] = text.split("\n").slice(0, -1);
    const [sizeBefore = 0, dataBytes = 0, endBytes = 0] = addition.split(" ").map(Number);
    const addedBytes = logBytes - sizeBefore;
    this.logBytes = logBytes;
    this.endIsTaken = endBytes > 0 && addedBytes === dataBytes + endBytes;
    this.#path = path;
    this.#taken = new Map(
      lines.map((line, index) => {
        const [taken, sender = ""] = line.split(" ");
        const isLast = index === lines.length - 1;
        return [sender, Number(taken) + (isLast ? Math.min(addedBytes, dataBytes) : 0)];
      }),
    );
  }

  /** As they are at one moment, also while a piece is being added. */
  static async read(dir: JobDir, log: FileHandle): Promise<InputSenders> {
    for (let text = await readSenders(dir.inputSenders); ; ) {
      const { size } = await log.stat();
      const again = await readSenders(dir.inputSenders);
      if (again === text) return new InputSenders(dir.inputSenders, text, size);
      text = again;
    }
  }

  /** How many bytes of this sender's were taken. */
  takenOf(sender: string): number {
    return this.#taken.get(sender) ?? 0;
  }

  /** Writes down what is going to be added at the log's end, where nothing was added since. */
  async expect({ sender, dataBytes, endBytes }: Addition): Promise<void> {
    const taken = this.takenOf(sender);
    this.#taken.delete(sender);
    this.#taken.set(sender, taken);
    const senders = [...this.#taken].slice(-MAX_SENDERS).map(([name, count]) => `${count} ${name}`);
    const lines = [`${this.logBytes} ${dataBytes} ${endBytes}`, ...senders];
    await writeFile(`${this.#path}.tmp`, `${lines.join("\n")}\n`, { mode: 0o600 });
    await rename(`${this.#path}.tmp`, this.#path);
  }
}

async function readSenders(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  }
}
