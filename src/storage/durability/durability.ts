import type { JobDir } from "../../core/job-dir.js";

/** Resolves when no power cut takes the name of a job's directory. */
export type KeepName = () => Promise<void>;

/**
 * Keeps what jobs' files say through a power cut. Each call writes at once, so that a kill
 * afterwards loses nothing, and resolves when a power cut loses nothing either.
 */
export interface Durability {
  /**
   * Writes a new job's record into its directory, which has no name of its own yet. Of a
   * job of which nobody is told before `keepProcess`, a power cut may leave empty files.
   * @returns what to call when it was given its name
   */
  writeNew(draft: JobDir, text: string): Promise<KeepName>;
  /** Replaces a job's record, whole or not at all. Calls for one job must not overlap. */
  replace(dir: JobDir, text: string): Promise<void>;
  /**
   * Called when a job's engine has recorded who the command is.
   * @param text a record that says the same
   */
  keepProcess(dir: JobDir, text: string): Promise<void>;
  /**
   * Called when a job's directory has lost its name.
   * @param ino the directory's inode; undefined where somebody else had deleted it
   */
  keepRemoval(dir: JobDir, ino: number | undefined): Promise<void>;
  /** Resolves when no file is written any more. */
  close(): Promise<void>;
}
