import { rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { abortable } from "../../platform/abort-signals.js";
import { crashPoint } from "../../platform/crash-point.js";
import { type FileSystemSync, SharedSync } from "../../platform/durable-file.js";
import { makePrivateDirs } from "../../platform/own-dir.js";
import { createDeadline } from "../../platform/timers.js";
import { type JournalEntry, JournalSegment, readSegment } from "./journal-segment.js";

export interface JournalOptions {
  /** Its own directory, which is made. */
  readonly dir: string;
  /** The machine's boot, within which files that were written are there without a sync. */
  readonly bootId: string;
  /** The file system of the jobs' files. Closed with the journal. */
  readonly files: FileSystemSync;
}

const SEGMENTS = ["a", "b"] as const;

/** A disk with less room has none, which would only fill it sooner. */
const MIN_FREE_BYTES = 64 * 1024 * 1024;

/** How long entries are kept, at most, before the files that they tell of are synced instead. */
const CHECKPOINT_DELAY_MS = 5000;

/** How long a journal that could not be made, or written, is done without. */
const RETRY_DELAY_MS = 60_000;

/** How long a close waits for a busy disk. What is left then counts until the next checkpoint. */
const CLOSE_TIMEOUT_MS = 1000;

/**
 * Says what jobs' files say, in one file whose sync all callers share: to sync the files
 * themselves takes each caller several syncs, ten times as long. Only a power cut needs it:
 * until then the files are the truth, and are read alone. Some seconds later the files are
 * synced all at once, and the entries given up.
 */
export class Journal {
  readonly #options: JournalOptions;
  /** All files, for all who wait for that. */
  readonly #files: SharedSync;
  /** Absent until it is made, and once it could not be written. */
  #current: JournalSegment | undefined;
  /** Has no entries that count. */
  #spare: JournalSegment | undefined;
  #generation: number;
  /** Set until no entries count that were written before. */
  #retiring: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;
  #making: Promise<void> | undefined;
  #checkpointTimer: NodeJS.Timeout | undefined;
  #mayMakeFromMs = Number.NEGATIVE_INFINITY;
  /** Whether there are entries that count, in files that are no longer written. */
  #isStale = false;
  #isClosed = false;

  private constructor(options: JournalOptions, generation: number) {
    this.#options = options;
    this.#generation = generation;
    this.#files = new SharedSync(options.dir, () => options.files.sync());
  }

  /**
   * Opens the journal of a directory.
   * @param recover is given the entries of an earlier boot, in their order: the files may
   * lack what they say. Where it returns that all of them have that now, the files are synced
   * and the entries given up. Else they wait for the next server, and there is no journal.
   */
  static async open(
    options: JournalOptions,
    recover: (entries: readonly JournalEntry[]) => Promise<boolean>,
  ): Promise<Journal> {
    makePrivateDirs(options.dir);
    const segments = SEGMENTS.flatMap((name) => readSegment(join(options.dir, name)) ?? []);
    segments.sort((a, b) => a.generation - b.generation);
    const journal = new Journal(options, segments.at(-1)?.generation ?? 0);
    const entries = segments.flatMap((segment) => segment.entries);
    const isSameBoot = segments.every(({ bootId }) => bootId === options.bootId);
    if (entries.length === 0) return journal;
    if (isSameBoot) {
      // The process that wrote them was killed: all that it wrote is there, but not yet on
      // disk. Every append waits for that.
      journal.#isStale = true;
      journal.#retire().catch(() => {});
    } else if (await recover(entries)) {
      await journal.#retire();
    } else {
      journal.#mayMakeFromMs = Number.POSITIVE_INFINITY;
    }
    return journal;
  }

  /**
   * Whether `append` can be called. If not, the caller has to sync its files itself. That is
   * so until the journal is made, which the first call of this begins, and where there is no
   * room for it.
   */
  get isReady(): boolean {
    if (this.#current || this.#isStale) return true;
    if (!this.#isClosed && performance.now() >= this.#mayMakeFromMs) this.#make().catch(() => {});
    return false;
  }

  /**
   * Adds entries that tell what was already written to files. Resolves when no power cut
   * undoes that.
   */
  async append(...entries: readonly JournalEntry[]): Promise<void> {
    try {
      const written = new Set<JournalSegment>();
      for (const entry of entries) {
        // At once where it can be, so that entries come in the order of the calls.
        const segment = this.#write(entry) ?? (await this.#writeLater(entry));
        if (segment) written.add(segment);
      }
      crashPoint("journal:written");
      await Promise.all([...written].map((segment) => segment.sync()));
    } catch {
      // The files are there: only their sync is missing.
      await this.#syncFilesInstead();
    }
    crashPoint("journal:synced");
  }

  /** Resolves when nothing is written any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#checkpointTimer);
    await Promise.allSettled([this.#making, this.#checkpointing, this.#retiring]);
    const segments = [this.#current, this.#spare].filter((segment) => segment !== undefined);
    this.#current = this.#spare = undefined;
    if (segments.some(({ hasEntries }) => hasEntries)) {
      const isSynced = await isDoneWithin(CLOSE_TIMEOUT_MS, this.#files.sync());
      // From now on they may be another process's.
      if (isSynced) for (const segment of segments) this.#reset(segment);
    }
    await Promise.all(segments.map((segment) => segment.close()));
    // A busy disk is not waited for.
    void this.#files.idle().then(() => this.#options.files.close());
  }

  /** Writes an entry where there is room for it now. @returns the segment it is in */
  #write(entry: JournalEntry): JournalSegment | undefined {
    const segment = this.#current;
    if (this.#retiring || !segment?.write(entry)) return undefined;
    this.#checkpointTimer ??= setTimeout(() => {
      this.#checkpoint().catch(() => {});
    }, CHECKPOINT_DELAY_MS).unref();
    return segment;
  }

  /** Writes an entry once there is room. @returns undefined where its files were synced instead */
  async #writeLater(entry: JournalEntry): Promise<JournalSegment | undefined> {
    for (;;) {
      await this.#retiring;
      if (!this.#current) await this.#make();
      // What a large one replaces must not come back either.
      const isLarge = !JournalSegment.takes(entry);
      const hadRoom = isLarge ? undefined : this.#write(entry);
      if (hadRoom) return hadRoom;
      const checkpoint = this.#checkpoint();
      // Nobody waits for it where the other segment can be gone on in at once.
      checkpoint.catch(() => {});
      const hasRoom = isLarge ? undefined : this.#write(entry);
      if (hasRoom) return hasRoom;
      await checkpoint;
      if (isLarge) return undefined;
    }
  }

  #make(): Promise<void> {
    this.#making ??= this.#makeNow()
      .catch((error: unknown) => {
        this.#mayMakeFromMs = performance.now() + RETRY_DELAY_MS;
        throw error;
      })
      .finally(() => {
        this.#making = undefined;
      });
    return this.#making;
  }

  async #makeNow(): Promise<void> {
    if (this.#isStale) await this.#retire();
    const current = await this.#open("a");
    try {
      // So that it never waits for one that is being made.
      this.#spare = await this.#open("b");
    } catch (error) {
      await current.close();
      throw error;
    }
    this.#current = current;
  }

  async #open(name: string): Promise<JournalSegment> {
    const { dir, bootId } = this.#options;
    const { bavail, bsize } = statfsSync(dir);
    if (bavail * bsize < MIN_FREE_BYTES) throw new Error(`${dir} has no room for a journal`);
    return JournalSegment.open(join(dir, name), (this.#generation += 1), bootId);
  }

  /** Syncs the files that the entries tell of, and gives the entries up. */
  #checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#checkpointNow().finally(() => {
      this.#checkpointing = undefined;
    });
    return this.#checkpointing;
  }

  async #checkpointNow(): Promise<void> {
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = undefined;
    const [before, next] = [this.#current, this.#spare];
    // Only one checkpoint is under way, and each leaves a spare one.
    if (!before || !next) return;
    this.#current = next;
    this.#spare = undefined;
    try {
      await this.#files.sync();
      crashPoint("journal:files-synced");
      this.#reset(before);
      await before.sync();
      this.#spare = before;
    } catch (error) {
      this.#abandon(before, next);
      throw error;
    }
  }

  /** Writes no more entries there, which count until the next retirement. */
  #abandon(...segments: readonly (JournalSegment | undefined)[]): void {
    this.#isStale = true;
    this.#current = this.#spare = undefined;
    for (const segment of segments) void segment?.close();
  }

  #reset(segment: JournalSegment): void {
    segment.reset((this.#generation += 1), this.#options.bootId);
  }

  async #syncFilesInstead(): Promise<void> {
    await this.#retire();
    // A retirement that was under way may have come before the files.
    await this.#files.sync();
  }

  /** Syncs all files and deletes the journal: what it says must not replace what comes later. */
  #retire(): Promise<void> {
    this.#retiring ??= this.#retireNow().finally(() => {
      this.#retiring = undefined;
    });
    return this.#retiring;
  }

  async #retireNow(): Promise<void> {
    await Promise.allSettled([this.#checkpointing]);
    this.#abandon(this.#current, this.#spare);
    await this.#files.sync();
    for (const name of SEGMENTS) rmSync(join(this.#options.dir, name), { force: true });
    crashPoint("journal:retired");
    await this.#files.sync();
    this.#isStale = false;
  }
}

async function isDoneWithin(timeoutMs: number, work: Promise<void>): Promise<boolean> {
  const late = createDeadline(timeoutMs);
  try {
    await abortable(work, late.signal);
    return true;
  } catch {
    return false;
  } finally {
    late.cancel();
  }
}
