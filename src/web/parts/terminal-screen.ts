import { type IDisposable, type IMarker, Terminal } from "@xterm/xterm";
import type { Stream } from "../../contract/job.js";
import type { WrittenBetween } from "../../contract/procman.js";
import type { LogScreen, ScreenPiece, TopPlace } from "../state/log-state.js";
import { isSameRange } from "../state/moment.js";
import { sleep } from "../../platform/timers.js";
import { useStrictStyles } from "./strict-styles.js";

const SCROLLBACK_ROWS = 20_000;
const MAX_RUNS = 40_000;
const MAX_FRAME_MS = 200;
const MIN_COLUMNS = 20;
const MAX_COLUMNS = 500;

/** What is in rows of the screen: those of one stream that were written at one time. */
export interface RowRun {
  readonly row: number;
  readonly stream: Stream;
  readonly offset: number;
  readonly writtenBetween?: WrittenBetween;
}

export interface ScreenView {
  /** The first row that can be seen, counted from the log's beginning. */
  readonly firstRow: number;
  /** What is in each row that can be seen; undefined for one that nothing was written to. */
  readonly rows: readonly (RowRun | undefined)[];
  readonly rowHeight: number;
  readonly isAtEnd: boolean;
  readonly isAtStart: boolean;
}

export interface TerminalScreenOptions {
  readonly element: HTMLElement;
  readonly isDark: boolean;
  readonly onView: (view: ScreenView) => void;
  /** Called with what the user types or pastes. */
  readonly onInput: (text: string) => void;
  readonly onSize: (size: { rows: number; columns: number }) => void;
  readonly onLeave: () => void;
}

/**
 * A terminal that shows a log, with what is where. What output can do to it stays in it: it
 * sets no title, opens no link, and is answered nothing unless the user is at it.
 */
export class TerminalScreen implements LogScreen {
  readonly #terminal: Terminal;
  readonly #options: TerminalScreenOptions;
  readonly #resizes: ResizeObserver;
  readonly #handlers: IDisposable[];
  #runs: RowRun[] = [];
  /** Where each piece that was written begins. */
  #pieces: RowRun[] = [];
  /** Where the cursor was after the last write, and that row's number. */
  #marker: IMarker | undefined;
  #markedRow = 0;
  #isLive = false;
  #takesKeys = false;
  #isTelling = false;
  /** Columns that the job's terminal has; undefined where the page's width counts. */
  #columns: number | undefined;

  constructor(options: TerminalScreenOptions) {
    useStrictStyles();
    this.#options = options;
    const style = getComputedStyle(options.element);
    this.#terminal = new Terminal({
      scrollback: SCROLLBACK_ROWS,
      convertEol: true,
      disableStdin: true,
      cursorInactiveStyle: "none",
      fontFamily: style.getPropertyValue("--mono"),
      fontSize: 12.5,
      lineHeight: 1.25,
      minimumContrastRatio: 4.5,
      screenReaderMode: true,
      theme: themeOf(options.isDark),
      // Links in output lead where their text does not say.
      linkHandler: { activate: () => {}, hover: () => {}, leave: () => {} },
    });
    this.#handlers = this.#silence();
    this.#terminal.open(options.element);
    this.#terminal.attachCustomKeyEventHandler((event) => this.#isForTerminal(event));
    this.#terminal.onData((text) => {
      if (this.#takesKeys) options.onInput(text);
    });
    this.#terminal.onScroll(() => this.#tellSoon());
    this.#terminal.onRender(() => this.#tellSoon());
    this.#terminal.onResize(({ rows, cols }) => options.onSize({ rows, columns: cols }));
    this.#resizes = new ResizeObserver(() => this.fit());
    this.#resizes.observe(options.element);
    this.fit();
  }

  get row(): number {
    const marker = this.#marker;
    const { cursorY, baseY } = this.#terminal.buffer.normal;
    return marker && marker.line >= 0
      ? this.#markedRow + baseY + cursorY - marker.line
      : baseY + cursorY;
  }

  get size(): { rows: number; columns: number } {
    return { rows: this.#terminal.rows, columns: this.#terminal.cols };
  }

  reset(): void {
    this.#terminal.reset();
    this.#runs = [];
    this.#pieces = [];
    this.#marker?.dispose();
    this.#marker = undefined;
    this.#markedRow = 0;
  }

  write({ stream, offset, data, writtenBetween, isLive }: ScreenPiece): Promise<number> {
    return new Promise((resolve) => {
      // Called in the order of the writes, so each finds the row where the one before has ended.
      this.#terminal.write(data, () => {
        const row = this.#markedRow;
        this.#mark();
        this.#note({ row, stream, offset, ...(writtenBetween && { writtenBetween }) });
        resolve(row);
      });
      this.#isLive = isLive;
    });
  }

  async note(text: string): Promise<void> {
    await this.#write(new TextEncoder().encode(`\r\n\x1b[0;7m ${text} \x1b[0m\r\n`));
    this.#mark();
  }

  reveal(row: number): void {
    this.#terminal.scrollToLine(Math.max(0, row - this.#topRow));
  }

  firstKept(stream: Stream): number | undefined {
    const top = this.#topRow;
    if (top <= 0) return undefined;
    return this.#pieces.find((piece) => piece.stream === stream && piece.row >= top)?.offset;
  }

  get isAtEnd(): boolean {
    const { viewportY, baseY } = this.#terminal.buffer.active;
    return viewportY >= baseY;
  }

  atTop(stream: Stream): TopPlace | undefined {
    const top = this.#topRow + this.#terminal.buffer.active.viewportY;
    const piece = this.#pieces.findLast((piece) => piece.stream === stream && piece.row <= top);
    return piece && { offset: piece.offset, rowsAbove: top - piece.row };
  }

  async drawn(): Promise<void> {
    const frames = new Promise<void>((resolve) => {
      // The view is told in the first one, after what is drawn in it.
      requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
    });
    // A page that nobody sees draws nothing.
    await Promise.race([frames, sleep(MAX_FRAME_MS)]);
  }

  toEnd(): void {
    this.#terminal.scrollToBottom();
  }

  scroll(rows: number): void {
    this.#terminal.scrollLines(rows);
  }

  scrollPages(pages: number): void {
    this.#terminal.scrollPages(pages);
  }

  focus(): void {
    this.#terminal.focus();
  }

  /** @param takesKeys whether what is typed goes to the job */
  setInteractive(takesKeys: boolean): void {
    this.#takesKeys = takesKeys;
    this.#terminal.options.disableStdin = !takesKeys;
    this.#terminal.options.cursorBlink = takesKeys;
    this.#terminal.options.cursorInactiveStyle = takesKeys ? "outline" : "none";
  }

  /** A terminal has a width of its own, and takes care of line ends itself. */
  setTerminal(columns: number | undefined): void {
    this.#columns = columns;
    this.#terminal.options.convertEol = false;
    this.fit();
  }

  setDark(isDark: boolean): void {
    this.#terminal.options.theme = themeOf(isDark);
  }

  /** Makes as many rows and columns as there is room for. */
  fit(): void {
    const { element } = this.#options;
    const cell = this.#cell();
    if (!cell || element.clientWidth === 0) return;
    const columns = this.#columns ?? Math.floor((element.clientWidth - 14) / cell.width);
    const rows = Math.max(2, Math.floor(element.clientHeight / cell.height));
    this.#terminal.resize(Math.min(Math.max(columns, MIN_COLUMNS), MAX_COLUMNS), rows);
  }

  dispose(): void {
    this.#resizes.disconnect();
    for (const handler of this.#handlers) handler.dispose();
    this.#terminal.dispose();
  }

  get #topRow(): number {
    return this.row - this.#terminal.buffer.normal.baseY - this.#terminal.buffer.normal.cursorY;
  }

  #note(run: RowRun): void {
    const { row, stream, writtenBetween } = run;
    this.#pieces.push(run);
    if (this.#pieces.length > MAX_RUNS) this.#pieces = this.#pieces.slice(MAX_RUNS / 2);
    const last = this.#runs.at(-1);
    if (last?.stream === stream && isSameRange(last.writtenBetween, writtenBetween)) return;
    // A line that both streams have written to is the later one's.
    if (last?.row === row) this.#runs.pop();
    this.#runs.push(run);
    if (this.#runs.length > MAX_RUNS) this.#runs = this.#runs.slice(MAX_RUNS / 2);
  }

  #write(data: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#terminal.write(data, resolve));
  }

  /** Remembers the cursor's row. The terminal moves the mark as it loses rows at its beginning. */
  #mark(): void {
    if (this.#terminal.buffer.active.type !== "normal") return;
    const { row } = this;
    this.#marker?.dispose();
    this.#marker = this.#terminal.registerMarker(0);
    this.#markedRow = row;
  }

  #tellSoon(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    requestAnimationFrame(() => {
      this.#isTelling = false;
      this.#options.onView(this.#view());
    });
  }

  #view(): ScreenView {
    const { viewportY, type } = this.#terminal.buffer.active;
    const first = this.#topRow + viewportY;
    // A row that nothing was written to yet is nobody's.
    const end = this.#terminal.buffer.normal.cursorX === 0 ? this.row - 1 : this.row;
    const rows = Array.from({ length: this.#terminal.rows }, (_, index) => {
      const row = first + index;
      return type === "normal" && row <= end ? this.#runAt(row) : undefined;
    });
    const { isAtEnd } = this;
    const rowHeight = this.#cell()?.height ?? 0;
    return { firstRow: first, rows, rowHeight, isAtEnd, isAtStart: viewportY === 0 };
  }

  #runAt(row: number): RowRun | undefined {
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#runs[middle]?.row ?? Infinity) <= row) low = middle + 1;
      else high = middle;
    }
    return this.#runs[low - 1];
  }

  #cell(): { width: number; height: number } | undefined {
    const screen = this.#options.element.querySelector<HTMLElement>(".xterm-screen");
    if (!screen) return undefined;
    const { width, height } = screen.getBoundingClientRect();
    if (width === 0) return undefined;
    return { width: width / this.#terminal.cols, height: height / this.#terminal.rows };
  }

  #isForTerminal(event: KeyboardEvent): boolean {
    if (event.key === "F6") {
      if (event.type === "keydown") this.#options.onLeave();
      return false;
    }
    // Without input, every key is the page's, Tab among them.
    return this.#takesKeys;
  }

  /**
   * Keeps from the terminal what asks it something: its answers would be typed into the job,
   * once for each tab, and again for output that was written long ago.
   */
  #silence(): IDisposable[] {
    const isUnanswered = () => !(this.#isLive && this.#takesKeys);
    const { parser } = this.#terminal;
    const questions = [
      { final: "c" },
      { prefix: ">", final: "c" },
      { prefix: "=", final: "c" },
      { final: "n" },
      { prefix: "?", final: "n" },
      { prefix: ">", final: "q" },
      { intermediates: "$", final: "p" },
      { prefix: "?", intermediates: "$", final: "p" },
      { final: "t" },
    ];
    return [
      ...questions.map((id) => parser.registerCsiHandler(id, isUnanswered)),
      parser.registerDcsHandler({ intermediates: "$", final: "q" }, isUnanswered),
      // Titles, the clipboard, links and colours of the palette.
      ...[0, 1, 2, 4, 8, 10, 11, 12, 52, 104, 110, 111, 112].map((code) =>
        parser.registerOscHandler(code, () => true),
      ),
    ];
  }
}

function themeOf(isDark: boolean) {
  return isDark
    ? {
        background: "#0f1115",
        foreground: "#d7dae0",
        cursor: "#d7dae0",
        selectionBackground: "#2f4a75",
      }
    : {
        background: "#ffffff",
        foreground: "#1f2328",
        cursor: "#1f2328",
        selectionBackground: "#b6d4fe",
        black: "#1f2328",
        red: "#b3261e",
        green: "#1a7f37",
        yellow: "#8a6100",
        blue: "#0b57c2",
        magenta: "#8239a8",
        cyan: "#0b6e80",
        white: "#6a6f76",
        brightBlack: "#6a6f76",
        brightWhite: "#1f2328",
      };
}
