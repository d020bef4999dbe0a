import { signal } from "@preact/signals-core";
import type { ProcmanError } from "../../contract/errors.js";
import { isTerminal, type Job, type OutputSizes, type Stream } from "../../contract/job.js";
import type { Procman, WrittenBetween } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { WrittenTimes } from "./written-times.js";

/** How much of the end of a log is read when it is opened. */
const TAIL_BYTES = 256 * 1024;
/** How much is read around a place in the middle. */
const WINDOW_BYTES = 256 * 1024;
/** How much of it is before that place, or is read more where the user scrolls on. */
const STEP_BYTES = 128 * 1024;
/** How much is asked for by one ReadOutput. */
const READ_BYTES = 128 * 1024;
/** Written to the screen at once: fewer lines than it holds, whatever they are. */
const PIECE_BYTES = 4 * 1024;
/** So many of them are on their way to it at once. */
const MAX_PIECES_UNDER_WAY = 8;
/** After so many rows below the place that was asked for, nothing more is read for now. */
const MAX_WINDOW_ROWS = 8000;
/** A command that writes faster than a screen can show gets so far ahead. Then the rest is skipped. */
const MAX_LAG_BYTES = 8 * 1024 * 1024;
/** A first line is left out where its beginning is, unless it is longer than this. */
const MAX_CUT_LINE_BYTES = 64 * 1024;

const LINE_FEED = 10;

export type OutputChoice = "both" | Stream;

export type Offsets = Readonly<Record<Stream, number>>;

/** A run of bytes, as it goes to the screen. */
export interface ScreenPiece {
  readonly stream: Stream;
  readonly offset: number;
  readonly data: Uint8Array;
  /** When it was written, where that is shown. */
  readonly writtenBetween?: WrittenBetween;
  /** Whether it comes while the page follows: a terminal's questions are then to be answered. */
  readonly isLive: boolean;
}

/** What shows a log: a terminal. Rows are counted from its beginning, also those that it has lost. */
export interface LogScreen {
  reset(): void;
  /** Resolves when it was taken in, with the row in which it begins. */
  write(piece: ScreenPiece): Promise<number>;
  /** Says something that is no output: that a part was skipped. */
  note(text: string): Promise<void>;
  /** The row in which the next byte will be shown. */
  readonly row: number;
  reveal(row: number): void;
  /** Returns from where on a stream is still there; undefined where nothing of it was lost. */
  firstKept(stream: Stream): number | undefined;
  /** Whether the end of what is there is in view. */
  readonly isAtEnd: boolean;
  /** Returns what of a stream is at the top of the view; undefined where nothing of it is above. */
  atTop(stream: Stream): TopPlace | undefined;
  /** Resolves when what was done before can be seen, and where that is was told. */
  drawn(): Promise<void>;
  toEnd(): void;
}

/** The last piece of a stream that begins at the top of the view, or above. */
export interface TopPlace {
  readonly offset: number;
  /** How many rows above it begins. */
  readonly rowsAbove: number;
}

export type LogMode =
  /** New output is shown as it comes. */
  | "following"
  /** A part of it is shown; more is read where the user scrolls on. */
  | "window"
  /** All of it was read, and the job has ended. */
  | "ended";

export interface LogStateOptions {
  readonly procman: Procman;
  readonly jobId: string;
  readonly screen: LogScreen;
  /** Called with each newer state of the job. */
  readonly onJob?: (job: Job) => void;
}

/** Reads a job's output for a screen: its end, as it grows, or windows of it by offset. */
export class LogState {
  readonly #procman: Procman;
  readonly #jobId: string;
  readonly #screen: LogScreen;
  readonly #times: WrittenTimes;
  readonly #onJob: (job: Job) => void;
  #reading: AbortController | undefined;
  /** What is read one after another. */
  #busy: Promise<void> = Promise.resolve();
  #isPaused = false;
  #isStreaming = false;

  readonly mode = signal<LogMode>("following");
  /** Whether something is being read that was asked for; not what comes while it follows. */
  readonly isBusy = signal(false);
  readonly choice = signal<OutputChoice>("both");
  /** Whether it is told when output was written. */
  readonly hasTimes = signal(false);
  /** The screen's row of the place that was asked for last, while that is there. */
  readonly placeRow = signal<number | undefined>(undefined);
  /** What of each stream is on the screen. */
  readonly start = signal<Offsets>({ stdout: 0, stderr: 0 });
  readonly end = signal<Offsets>({ stdout: 0, stderr: 0 });
  /** What there is of each stream. */
  readonly first = signal<Offsets>({ stdout: 0, stderr: 0 });
  readonly size = signal<Offsets>({ stdout: 0, stderr: 0 });
  readonly error = signal<ProcmanError | undefined>(undefined);

  constructor({ procman, jobId, screen, onJob = () => {} }: LogStateOptions) {
    this.#procman = procman;
    this.#jobId = jobId;
    this.#screen = screen;
    this.#times = new WrittenTimes(procman, jobId);
    this.#onJob = onJob;
  }

  /** Shows the end of the log, and what comes. */
  follow(): Promise<void> {
    return this.#read("following", async (signal) => {
      const job = await this.#get(signal);
      const start = this.#back(sizesOf(job), TAIL_BYTES);
      this.#clear();
      await this.#showTail(start, signal);
    });
  }

  /**
   * Shows the log from a time on, and when it was written. Resolves with whether anything may
   * have been written since then; else it stays where it is.
   */
  async goToTime(time: Date): Promise<boolean> {
    try {
      const place = await this.#times.placeSince(time, this.#streams());
      if (!place) return false;
      this.hasTimes.value = true;
      await this.#goTo(place.at, { stream: place.stream, isMarked: true });
      return true;
    } catch (error) {
      this.error.value = error as ProcmanError;
      return true;
    }
  }

  /** Tells, or no more, when output was written, also of what is in view. */
  showTimes(hasTimes: boolean): Promise<void> {
    if (hasTimes === this.hasTimes.value) return Promise.resolve();
    this.hasTimes.value = hasTimes;
    if (!hasTimes) return Promise.resolve();
    // What is shown was read without.
    if (this.mode.value !== "window" && this.#screen.isAtEnd) return this.follow();
    const start = this.#shownStart();
    const top = (stream: Stream) => this.#screen.atTop(stream);
    const at = (stream: Stream) => top(stream)?.offset ?? start[stream];
    const rowsBelow = top(this.#mainStream)?.rowsAbove ?? 0;
    return this.#goTo({ stdout: at("stdout"), stderr: at("stderr") }, { rowsBelow });
  }

  /** Shows a line of one stream, and of the other one what is about as far in its log. */
  goToLine(stream: Stream, offset: number): Promise<void> {
    const other: Stream = stream === "stdout" ? "stderr" : "stdout";
    const size = this.size.value;
    const share = size[stream] === 0 ? 0 : offset / size[stream];
    const at = { [stream]: offset, [other]: Math.floor(share * size[other]) };
    return this.#goTo(at as Record<Stream, number>, { stream, isMarked: true });
  }

  goToStart(): Promise<void> {
    return this.#goTo(this.first.value);
  }

  /** Shows what is at a share of the log, 0 to 1. */
  goToShare(share: number): Promise<void> {
    const [first, size] = [this.first.value, this.size.value];
    const at = (stream: Stream) =>
      Math.floor(first[stream] + share * (size[stream] - first[stream]));
    return this.#goTo({ stdout: at("stdout"), stderr: at("stderr") });
  }

  get hasEarlier(): boolean {
    const start = this.#shownStart();
    return this.#streams().some((stream) => start[stream] > this.first.value[stream]);
  }

  get hasLater(): boolean {
    return this.#streams().some((stream) => this.end.value[stream] < this.size.value[stream]);
  }

  /** Reads what is before the screen's first line, which stays in view. */
  loadEarlier(): Promise<void> {
    if (this.isBusy.peek() || !this.hasEarlier) return Promise.resolve();
    const at = this.#shownStart();
    return this.#read("window", async (signal) => {
      const stream = this.#mainStream;
      const place = { stream, offset: at[stream], rowsBelow: 0 };
      await this.#showWindow(at, place, WINDOW_BYTES + STEP_BYTES, signal);
    });
  }

  /** Reads what is after the screen's last line. At the log's end, follows it. */
  loadLater(): Promise<void> {
    if (this.isBusy.peek() || this.mode.peek() !== "window") return Promise.resolve();
    return this.#read("window", async (signal) => {
      await this.#get(signal);
      await this.#readOn(STEP_BYTES, signal);
      if (this.hasLater) return;
      this.mode.value = "following";
      await this.#stream(signal);
    });
  }

  choose(choice: OutputChoice): Promise<void> {
    this.choice.value = choice;
    return this.follow();
  }

  /** Takes in how the job is now: a screen that is too far behind goes to the end. */
  hear(job: Job): void {
    this.#hear(job);
    if (!this.#isStreaming || this.#lag <= MAX_LAG_BYTES) return;
    void this.#read("following", async (signal) => {
      await this.#skipTo(await this.#get(signal), signal);
    });
  }

  /** Reads nothing for a while. */
  pause(): void {
    if (this.mode.value !== "following") return;
    this.#reading?.abort();
    this.#isPaused = true;
  }

  /** Goes on where `pause` has left off, or at the end where that is too far away by now. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    void this.#read("following", async (signal) => {
      const job = await this.#get(signal);
      if (this.#lag > MAX_LAG_BYTES) await this.#skipTo(job, signal);
      else await this.#stream(signal);
    });
  }

  close(): void {
    this.#reading?.abort();
  }

  get #lag(): number {
    return this.#sum(this.size.value) - this.#sum(this.end.value);
  }

  #hear(job: Job): void {
    this.size.value = sizesOf(job);
    this.first.value = { stdout: job.stdoutFirstOffset, stderr: job.stderrFirstOffset };
  }

  async #skipTo(job: Job, signal: AbortSignal): Promise<void> {
    const start = this.#back(sizesOf(job), TAIL_BYTES);
    const skipped = this.#sum(start) - this.#sum(this.end.value);
    await this.#screen.note(
      `${skipped.toLocaleString("en")} bytes skipped: the command writes faster than this page shows`,
    );
    await this.#showTail(start, signal);
  }

  /** Shows what there is from a place near the end on, and then what comes. */
  async #showTail(start: Offsets, signal: AbortSignal): Promise<void> {
    this.start.value = start;
    this.end.value = start;
    await this.#readOn(2 * TAIL_BYTES, signal, this.#lineCutter(start));
    if (!signal.aborted) await this.#stream(signal);
  }

  /** Does one thing at a time: a later one ends the one before. */
  #read(mode: LogMode, act: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#reading?.abort();
    this.#isPaused = false;
    const reading = new AbortController();
    this.#reading = reading;
    this.#isStreaming = false;
    this.isBusy.value = true;
    const { signal } = reading;
    this.#busy = this.#busy.then(async () => {
      if (signal.aborted) return;
      this.mode.value = mode;
      this.error.value = undefined;
      try {
        await act(signal);
        await this.#screen.drawn();
      } catch (error) {
        if (!signal.aborted) this.error.value = error as ProcmanError;
      } finally {
        if (!signal.aborted) this.isBusy.value = false;
      }
    });
    return this.#busy;
  }

  /** Shows the log around a place, given by the offset of each stream. */
  #goTo(at: Offsets, { stream = this.#mainStream, rowsBelow = 0, isMarked = false } = {}) {
    return this.#read("window", async (signal) => {
      await this.#get(signal);
      const place: Place = { stream, offset: at[stream], rowsBelow };
      await this.#showWindow(at, place, WINDOW_BYTES, signal);
      if (isMarked && !signal.aborted) this.placeRow.value = place.row;
    });
  }

  async #get(signal: AbortSignal): Promise<Job> {
    const job = await this.#procman.get(this.#jobId, { signal });
    this.#hear(job);
    this.#onJob(job);
    return job;
  }

  /** Shows what comes after what is on the screen, until the job has ended. */
  async #stream(signal: AbortSignal): Promise<void> {
    const { stdout, stderr } = this.end.value;
    const events = this.#procman.attach(this.#jobId, {
      stdoutOffset: stdout,
      stderrOffset: stderr,
      streams: this.#streams(),
      follow: true,
      writtenTimes: this.hasTimes.peek(),
      signal,
    });
    for await (const event of events) {
      switch (event.type) {
        case "opened":
          this.#isStreaming = true;
          this.isBusy.value = false;
          this.#hear(event.job);
          this.#onJob(event.job);
          break;
        case "chunk":
          await this.#write({ ...event, isLive: true }, WHOLE, signal);
          break;
        case "truncated":
          await this.#screen.note(`the command has truncated its ${event.stream}`);
          this.#advance(event.stream, event.offset);
          break;
        case "ended":
          this.#hear(event.job);
          this.#onJob(event.job);
          if (isTerminal(event.job)) this.mode.value = "ended";
          break;
      }
    }
  }

  #clear(): void {
    this.#screen.reset();
    this.placeRow.value = undefined;
  }

  /** Shows what is around a place, which comes to the top. */
  async #showWindow(at: Offsets, place: Place, bytes: number, signal: AbortSignal): Promise<void> {
    const start = this.#back(at, STEP_BYTES);
    this.#clear();
    this.start.value = start;
    this.end.value = start;
    await this.#readOn(bytes, signal, this.#lineCutter(start), place);
    const row = place.row === undefined ? this.#screen.row : place.row + place.rowsBelow;
    if (!signal.aborted) this.#screen.reveal(row);
  }

  /** Reads on from where the screen ends. */
  async #readOn(
    bytes: number,
    signal: AbortSignal,
    cut: LineCutter = WHOLE,
    place?: Place,
  ): Promise<void> {
    for (let left = bytes; left > 0; left -= READ_BYTES) {
      const { stdout, stderr } = this.end.value;
      const { parts, stdoutNextOffset, stderrNextOffset } = await this.#procman.readOutput(
        this.#jobId,
        {
          streams: this.#streams(),
          stdoutOffset: stdout,
          stderrOffset: stderr,
          maxBytes: READ_BYTES,
          ends: "head",
          writtenTimes: this.hasTimes.peek(),
          signal,
        },
      );
      const hasBoth = parts.some(({ stream }) => stream !== parts[0]?.stream);
      const pieces = parts.map(({ stream, offset, data, writtenBetween }) => ({
        stream,
        offset,
        // Else the other stream would go on in a line of this one.
        data: hasBoth ? wholeLines(data) : data,
        isLive: false,
        ...defined({ writtenBetween }),
      }));
      const ordered = this.hasTimes.peek() ? await this.#times.inOrder(pieces, signal) : pieces;
      for (const piece of ordered) await this.#write(piece, cut, signal, place);
      if (signal.aborted) return;
      if (place?.row !== undefined && this.#screen.row - place.row > MAX_WINDOW_ROWS) return;
      if (stdoutNextOffset === stdout && stderrNextOffset === stderr) return;
      // Of a stream that has nothing there, a log limit may have removed a part.
      const isThere = (stream: Stream) => parts.some((part) => part.stream === stream);
      if (!isThere("stdout")) this.#advance("stdout", stdoutNextOffset);
      if (!isThere("stderr")) this.#advance("stderr", stderrNextOffset);
    }
  }

  async #write(
    whole: ScreenPiece,
    cut: LineCutter,
    signal: AbortSignal,
    place?: Place,
  ): Promise<void> {
    const { stream } = whole;
    const { data, offset, ...rest } = cut(whole);
    let written: Promise<unknown> = Promise.resolve();
    for (let at = 0, count = 1; at < data.length && !signal.aborted; count += 1) {
      // Before the screen would lose the place that it is to show.
      if (place?.row !== undefined && this.#screen.row - place.row > MAX_WINDOW_ROWS) return;
      const from = offset + at;
      let end = Math.min(at + PIECE_BYTES, data.length);
      const isAwaited = place?.stream === stream && place.row === undefined;
      if (isAwaited && from < place.offset) end = Math.min(end, place.offset - offset);
      const row = this.#screen.write({ ...rest, offset: from, data: data.subarray(at, end) });
      if (isAwaited && from >= place.offset) place.row = await row;
      written = row;
      if (count % MAX_PIECES_UNDER_WAY === 0) await written;
      at = end;
      this.#advance(stream, offset + at);
    }
    await written;
    if (!signal.aborted) this.#advance(stream, whole.offset + whole.data.length);
  }

  /** The one that has written more. */
  get #mainStream(): Stream {
    const [first = "stdout"] = this.#streams();
    if (this.choice.value !== "both") return first;
    return this.size.value.stderr > this.size.value.stdout ? "stderr" : "stdout";
  }

  #advance(stream: Stream, offset: number): void {
    if (this.end.value[stream] >= offset) return;
    this.end.value = { ...this.end.value, [stream]: offset };
  }

  /** Where the screen begins: it keeps so many rows and no more. */
  #shownStart(): Offsets {
    const at = (stream: Stream) => this.#screen.firstKept(stream) ?? this.start.value[stream];
    return { stdout: at("stdout"), stderr: at("stderr") };
  }

  #streams(): readonly Stream[] {
    const choice = this.choice.value;
    return choice === "both" ? ["stdout", "stderr"] : [choice];
  }

  #sum(offsets: Offsets): number {
    return this.#streams().reduce((sum, stream) => sum + offsets[stream], 0);
  }

  /** Returns what is so many bytes before, in proportion to what each stream has there. */
  #back(at: Offsets, bytes: number): Offsets {
    const first = this.first.value;
    const streams = this.#streams();
    const there = streams.map((stream) => Math.max(0, at[stream] - first[stream]));
    const shares = fairShares(there, bytes);
    const back = { ...at };
    for (const [index, stream] of streams.entries()) {
      back[stream] = at[stream] - (shares[index] ?? 0);
    }
    return back;
  }

  /** Leaves out what comes first of a line whose beginning is not there. */
  #lineCutter(start: Offsets): LineCutter {
    const isCut = {
      stdout: start.stdout > this.first.value.stdout,
      stderr: start.stderr > this.first.value.stderr,
    };
    return (piece) => {
      const { stream, data, offset } = piece;
      if (!isCut[stream]) return piece;
      isCut[stream] = false;
      const end = data.subarray(0, MAX_CUT_LINE_BYTES).indexOf(LINE_FEED) + 1;
      return { ...piece, data: data.subarray(end), offset: offset + end };
    };
  }
}

/** A place in the log, and the screen's row where it is found. */
interface Place {
  readonly stream: Stream;
  readonly offset: number;
  /** How many rows below it are at the top. */
  readonly rowsBelow: number;
  row?: number;
}

type LineCutter = (piece: ScreenPiece) => ScreenPiece;

const WHOLE: LineCutter = (piece) => piece;

/** Leaves out the beginning of a line at the end, unless there is nothing else. */
function wholeLines(data: Uint8Array): Uint8Array {
  const end = data.lastIndexOf(LINE_FEED) + 1;
  return end === 0 ? data : data.subarray(0, end);
}

function sizesOf({ stdoutBytes, stderrBytes }: OutputSizes): Offsets {
  return { stdout: stdoutBytes, stderr: stderrBytes };
}

/** Shares bytes out: what one does not need of its half is the other's. */
export function fairShares(needs: readonly number[], bytes: number): number[] {
  const [one = 0, two] = needs;
  if (two === undefined) return [Math.min(one, bytes)];
  const half = Math.floor(bytes / 2);
  const first = Math.min(one, Math.max(half, bytes - two));
  return [first, Math.min(two, bytes - first)];
}
