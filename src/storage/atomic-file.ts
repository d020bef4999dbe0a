import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { crashPoint } from "../platform/crash-point.js";

/**
 * Replaces a file's content so that a reader, also after a crash at any moment,
 * finds either the old content or the new one: temp file, fsync, rename, fsync
 * of the directory. Calls for one path must not overlap: they share the temp
 * file's name, so that a crash leaves at most one behind and the next write
 * takes it over.
 */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFileDurable(temporary, content);
  crashPoint("atomic-file:written");
  await rename(temporary, path);
  crashPoint("atomic-file:renamed");
  await syncDirectory(dirname(path));
}

/** Writes a file, private to its owner, and waits until it is on disk. */
export async function writeFileDurable(path: string, content: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Waits until the names in a directory are on disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
