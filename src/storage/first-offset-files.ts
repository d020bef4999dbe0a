import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { fromSystemError } from "../contract/errors.js";
import type { FirstOffsetStore, FirstOffsets } from "../core/ports.js";
import { hasCode } from "../platform/errno.js";
import { syncPath, writeFileDurable } from "../platform/durable-file.js";
import { READ_ONLY, READ_WRITE } from "../platform/small-file.js";

/** The size of a sector, which disks write atomically. */
const SLOT_BYTES = 512;
const SLOTS = 2;

/** The offsets of the `generation`-th write. */
interface Slot {
  readonly generation: number;
  readonly offsets: FirstOffsets;
}

/** Returns the content of the file before any output has been removed. */
export function newFirstOffsetsFile(): string {
  return formatSlot({ generation: 0, offsets: { stdout: 0, stderr: 0 } }) + " ".repeat(SLOT_BYTES);
}

/**
 * Stores where a job's logs begin in a file with two slots. The newer slot whose
 * checksum is right counts; the other one is written next. So a write that is cut
 * short at any byte leaves the offsets from before it.
 *
 * The file is written in place, unlike a record. That takes no space on a full disk,
 * which is when trimming logs matters most. It also keeps the sync from waiting for
 * the file system's journal, which a command that writes at full speed keeps busy.
 */
export const firstOffsetFiles: FirstOffsetStore = {
  async read({ firstOffsets: path }) {
    try {
      const file = await open(path, READ_ONLY);
      try {
        return newest(await readSlots(file))?.offsets;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw fromSystemError(error, `read ${path}`);
    }
  },

  async write({ firstOffsets: path }, offsets) {
    try {
      const file = await openToWrite(path);
      try {
        const slots = await readSlots(file);
        const last = newest(slots);
        const index = last === undefined ? 0 : 1 - slots.indexOf(last);
        const slot = formatSlot({ generation: (last?.generation ?? 0) + 1, offsets });
        await file.write(slot, index * SLOT_BYTES);
        await file.datasync();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw fromSystemError(error, `write ${path}`);
    }
  },
};

/** Opens the file, and creates it where somebody has deleted it. */
async function openToWrite(path: string): Promise<FileHandle> {
  try {
    return await open(path, READ_WRITE);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    await writeFileDurable(path, " ".repeat(SLOTS * SLOT_BYTES));
    await syncPath(dirname(path));
    return open(path, READ_WRITE);
  }
}

async function readSlots(file: FileHandle): Promise<(Slot | undefined)[]> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(SLOTS * SLOT_BYTES), 0, null, 0);
  const text = buffer.toString("latin1", 0, bytesRead);
  return Array.from({ length: SLOTS }, (_, index) =>
    parseSlot(text.slice(index * SLOT_BYTES, (index + 1) * SLOT_BYTES)),
  );
}

function newest(slots: readonly (Slot | undefined)[]): Slot | undefined {
  const whole = slots.filter((slot) => slot !== undefined);
  return whole.sort((a, b) => b.generation - a.generation)[0];
}

function formatSlot({ generation, offsets }: Slot): string {
  const values = `${generation} ${offsets.stdout} ${offsets.stderr}`;
  return `${values} ${checksum(values)}`.padEnd(SLOT_BYTES - 1).concat("\n");
}

function parseSlot(text: string): Slot | undefined {
  const match = /^((\d{1,15}) (\d{1,16}) (\d{1,16})) ([0-9a-f]{16}) *\n$/.exec(text);
  if (match === null || checksum(match[1] as string) !== match[5]) return undefined;
  const [generation, stdout, stderr] = match.slice(2, 5).map(Number) as [number, number, number];
  return { generation, offsets: { stdout, stderr } };
}

function checksum(values: string): string {
  return createHash("sha256").update(values).digest("hex").slice(0, 16);
}
