import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { crashPoint } from "../platform/crash-point.js";

/**
 * Replaces a file's content so that a reader finds the old or the new content, also
 * after a crash at any moment: temporary file, fsync, rename, fsync of the directory.
 *
 * Calls for one path must not overlap. They share the temporary file's name, so that
 * a crash leaves at most one behind and the next write replaces it.
 */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFileDurable(temporary, content);
  crashPoint("atomic-file:written");
  await rename(temporary, path);
  crashPoint("atomic-file:renamed");
  await syncDirectory(dirname(path));
}

/** Writes a file that only its owner can access, and resolves when it is on disk. */
export async function writeFileDurable(path: string, content: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Resolves when the names in a directory are on disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
