import { existsSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { abortable } from "../../platform/abort-signals.js";
import { crashPoint } from "../../platform/crash-point.js";
import { type FileSystemSync, SharedSync, syncPath } from "../../platform/durable-file.js";
import { makePrivateDirs } from "../../platform/own-dir.js";
import { SerialQueue } from "../../platform/serial-queue.js";
import { createDeadline } from "../../platform/timers.js";
import {
  type JournalEntry,
  JournalSegment,
  type LeftEntries,
  readSegment,
} from "./journal-segment.js";

export interface JournalOptions {
  /** Its own directory, which is made. */
  readonly dir: string;
  /** The machine's boot, within which files that were written are there without a sync. */
  readonly bootId: string;
  /** The file system of the jobs' files. Closed with the journal. */
  readonly files: FileSystemSync;
  /** Brings the jobs' files to what entries of an earlier boot say: they may lack it. */
  readonly recover: (entries: readonly JournalEntry[]) => Promise<void>;
  /** Writes the files that entries tell of again: after a sync has failed, the next one leaves them out. */
  readonly rewrite: (entries: readonly JournalEntry[]) => void;
}

const SEGMENTS = ["a", "b"] as const;

/** A disk with less room has none, which would only fill it sooner. */
const MIN_FREE_BYTES = 64 * 1024 * 1024;

/** How long entries are kept, at most, before the files that they tell of are synced instead. */
const CHECKPOINT_DELAY_MS = 5000;

/** How long a journal that could not be made, or written, is done without. */
const RETRY_DELAY_MS = 60_000;

/** How long a close waits for a busy disk. What is left then counts until the next server. */
const CLOSE_TIMEOUT_MS = 1000;

/** What has become of entries. */
export interface Entered {
  /** Whether they are in the journal. If not, all files were synced instead. */
  readonly isThere: boolean;
  /**
   * Whether they count until all files were synced by a sync that is not yet under way. Then a
   * file that is written at once is as durable as they are.
   */
  readonly isLast: () => boolean;
}

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
  /** What makes, switches and gives up segments: one at a time. */
  readonly #transitions = new SerialQueue();
  /** Absent until it is made, and once it could not be written. */
  #current: JournalSegment | undefined;
  /** Has no entries that count. Absent while its files are synced. */
  #spare: JournalSegment | undefined;
  #generation: number;
  /** Whether there are entries that count, in files that are no longer written. */
  #isStale = false;
  /** Whether a sync of the files has failed: what it left out is left out by the next one, too. */
  #hasLostFiles = false;
  #isMaking = false;
  #isCheckpointDue = false;
  #nextRetirement: Promise<void> | undefined;
  #checkpointTimer: NodeJS.Timeout | undefined;
  #mayMakeFromMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  /** Whether the files may be another process's. */
  #isReleased = false;

  /** Whether it was last used in an earlier boot of the machine. */
  readonly isOfEarlierBoot: boolean;

  private constructor(options: JournalOptions, segments: readonly LeftEntries[]) {
    this.#options = options;
    this.#generation = segments.at(-1)?.generation ?? 0;
    // One that was being made when its process was killed is of no boot.
    this.isOfEarlierBoot = segments.some(({ bootId }) => !["", options.bootId].includes(bootId));
    this.#files = new SharedSync(options.dir, () => options.files.sync());
  }

  /**
   * Opens the journal of a directory. Where it has entries of an earlier boot, the files are
   * first brought to what they say, and synced.
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const { dir, bootId, recover } = options;
    makePrivateDirs(dir);
    const segments = readSegments(dir);
    const journal = new Journal(options, segments);
    // What an earlier process has given up may be there again after a power cut, until then.
    for (const { path } of segments) await syncPath(path);
    const left = segments.filter(({ entries }) => entries.length > 0);
    if (left.length === 0) return journal;
    const lost = left.filter((segment) => segment.bootId !== bootId);
    journal.#isStale = true;
    if (lost.length > 0) {
      await recover(lost.flatMap(({ entries }) => entries));
      await journal.#retireSoon();
    } else {
      // The process that wrote them was killed: all that it wrote is there, but not yet on
      // disk. Every append waits for that.
      journal.#retireSoon().catch(() => {});
    }
    return journal;
  }

  /**
   * Whether `append` can be called. If not, the caller has to sync its files itself: before
   * the journal is made, and where there is no room for it.
   */
  get canAppend(): boolean {
    return this.#current !== undefined || this.#isStale;
  }

  /** Makes the journal in background, unless it is there or could not be made a moment ago. */
  makeSoon(): void {
    if (this.canAppend || this.#isMaking || this.#isClosed || !this.#mayMake()) return;
    this.#isMaking = true;
    this.#transitions
      .run(() => this.#makeNow())
      .catch(() => {})
      .finally(() => {
        this.#isMaking = false;
      });
  }

  /**
   * Adds entries that tell what files say, or will say in a moment. Resolves when no power cut
   * undoes what was already written to the files.
   */
  async append(...entries: readonly JournalEntry[]): Promise<Entered> {
    const written = new Map<JournalSegment, number>();
    let isThere = true;
    try {
      for (const entry of entries) {
        // At once where it can be, so that entries come in the order of the calls.
        const segment = this.#write(entry) ?? (await this.#writeLater(entry));
        if (segment) written.set(segment, segment.generation);
        else isThere = false;
      }
      crashPoint("journal:written");
      await Promise.all([...written.keys()].map((segment) => segment.sync()));
    } catch {
      isThere = false;
      // The files are there: only their sync is missing.
      await this.#retireSoon();
    }
    crashPoint("journal:synced");
    const isLast = () =>
      isThere &&
      [...written].every(
        ([segment, generation]) => segment === this.#current && segment.generation === generation,
      );
    return { isThere, isLast };
  }

  /** Resolves when nothing is written any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#checkpointTimer);
    const closing = this.#transitions.run(() => this.#closeNow());
    const late = createDeadline(CLOSE_TIMEOUT_MS);
    try {
      await abortable(closing, late.signal);
    } catch {
      // What is left is given up by the next server.
    } finally {
      this.#isReleased = true;
      late.cancel();
    }
  }

  /** Writes an entry where there is room for it now. @returns the segment it is in */
  #write(entry: JournalEntry): JournalSegment | undefined {
    const segment = this.#current;
    if (!segment?.write(entry)) return undefined;
    if (segment.isHalfFull) this.#checkpointSoon();
    this.#checkpointTimer ??= setTimeout(() => this.#checkpointSoon(), CHECKPOINT_DELAY_MS).unref();
    return segment;
  }

  /** Writes an entry once there is room. @returns undefined where its files were synced instead */
  async #writeLater(entry: JournalEntry): Promise<JournalSegment | undefined> {
    if (!JournalSegment.takes(entry)) {
      // Begins after this call. And what the entry replaces must not come back.
      await this.#transitions.run(() => this.#checkpointNow());
      return undefined;
    }
    for (;;) {
      const segment = this.#write(entry);
      if (segment) return segment;
      await this.#transitions.run(() => this.#makeRoomNow(entry));
    }
  }

  async #makeRoomNow(entry: JournalEntry): Promise<void> {
    if (this.#isStale || !this.#current) return this.#makeNow();
    if (!this.#current.hasRoomFor(entry)) await this.#checkpointNow();
  }

  async #makeNow(): Promise<void> {
    if (this.#isStale) await this.#retireNow();
    if (this.#current) return;
    if (!this.#mayMake()) throw new Error("there is no journal now");
    try {
      const current = await this.#open("a");
      try {
        // So that it is never waited for.
        this.#spare = await this.#open("b");
      } catch (error) {
        await current.close();
        throw error;
      }
      this.#current = current;
    } catch (error) {
      this.#makeLater();
      throw error;
    }
  }

  #mayMake(): boolean {
    return performance.now() >= this.#mayMakeFromMs;
  }

  #makeLater(): void {
    this.#mayMakeFromMs = performance.now() + RETRY_DELAY_MS;
  }

  async #open(name: string): Promise<JournalSegment> {
    const { dir, bootId } = this.#options;
    const { bavail, bsize } = statfsSync(dir);
    if (bavail * bsize < MIN_FREE_BYTES) throw new Error(`${dir} has no room for a journal`);
    return JournalSegment.open(join(dir, name), (this.#generation += 1), bootId);
  }

  #checkpointSoon(): void {
    if (this.#isCheckpointDue || this.#isClosed) return;
    this.#isCheckpointDue = true;
    this.#transitions
      .run(() => {
        this.#isCheckpointDue = false;
        return this.#checkpointNow();
      })
      .catch(() => {});
  }

  /** Syncs the files that the entries tell of, and gives the entries up. */
  async #checkpointNow(): Promise<void> {
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = undefined;
    const [before, next] = [this.#current, this.#spare];
    if (!before || !next) return this.#retireNow();
    this.#current = next;
    this.#spare = undefined;
    try {
      await this.#syncFiles();
      crashPoint("journal:files-synced");
      this.#reset(before);
      await before.sync();
      this.#spare = before;
    } catch (error) {
      this.#abandon(before, next);
      throw error;
    }
  }

  #reset(segment: JournalSegment): void {
    segment.reset((this.#generation += 1), this.#options.bootId);
  }

  async #syncFiles(): Promise<void> {
    try {
      await this.#files.sync();
    } catch (error) {
      this.#hasLostFiles = true;
      throw error;
    }
  }

  /** Writes no more entries there, which count until the next retirement. */
  #abandon(...segments: readonly (JournalSegment | undefined)[]): void {
    this.#isStale = true;
    this.#current = this.#spare = undefined;
    for (const segment of segments) segment?.close().catch(() => {});
  }

  /** One that begins after this call, which all share who come until then. */
  #retireSoon(): Promise<void> {
    this.#nextRetirement ??= this.#transitions.run(() => {
      this.#nextRetirement = undefined;
      return this.#retireNow();
    });
    return this.#nextRetirement;
  }

  /** Syncs all files and deletes the journal: what it says must not replace what comes later. */
  async #retireNow(): Promise<void> {
    if (this.#current) {
      this.#abandon(this.#current, this.#spare);
      this.#makeLater();
    }
    const { dir, rewrite } = this.#options;
    const segments = readSegments(dir);
    if (this.#hasLostFiles) rewrite(segments.flatMap(({ entries }) => entries));
    await this.#syncFiles();
    this.#hasLostFiles = false;
    // The older one first: it must not be left alone.
    for (const { path } of segments) {
      rmSync(path, { force: true });
      await syncPath(dir);
    }
    crashPoint("journal:retired");
    this.#isStale = false;
  }

  async #closeNow(): Promise<void> {
    const segments = [this.#current, this.#spare].filter((segment) => segment !== undefined);
    this.#current = this.#spare = undefined;
    try {
      if (!segments.some(({ hasEntries }) => hasEntries)) return;
      await this.#syncFiles();
      for (const segment of segments) {
        if (this.#isReleased) return;
        this.#reset(segment);
        await segment.sync();
      }
    } finally {
      await Promise.allSettled(segments.map((segment) => segment.close()));
      this.#options.files.close();
    }
  }
}

/** Reads the segments that there are, in the order of their generations. */
function readSegments(dir: string): (LeftEntries & { readonly path: string })[] {
  return SEGMENTS.map((name) => join(dir, name))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, ...readSegment(path) }))
    .sort((a, b) => a.generation - b.generation);
}
