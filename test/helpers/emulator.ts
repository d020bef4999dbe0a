import xterm from "@xterm/headless";

/** What a person sees of bytes that are sent to a terminal. */
export class Emulator {
  readonly #terminal: xterm.Terminal;
  #written: Promise<void> = Promise.resolve();

  constructor({ columns = 80, rows = 24, convertEol = false } = {}) {
    const options = { cols: columns, rows, convertEol, scrollback: 10_000, allowProposedApi: true };
    this.#terminal = new xterm.Terminal(options);
  }

  write(data: string | Uint8Array): void {
    const written = new Promise<void>((resolve) => {
      this.#terminal.write(data, resolve);
    });
    this.#written = Promise.all([this.#written, written]).then(() => {});
  }

  /** Resolves when everything written is on the screen. */
  async settled(): Promise<void> {
    await this.#written;
  }

  resize(columns: number, rows: number): void {
    this.#terminal.resize(columns, rows);
  }

  /** Whether it shows another screen than the one whose lines scroll away. */
  get isOnAlternateScreen(): boolean {
    return this.#terminal.buffer.active.type === "alternate";
  }

  /** From 0, on the screen. */
  get cursor(): { readonly column: number; readonly row: number } {
    const { cursorX, cursorY } = this.#terminal.buffer.active;
    return { column: cursorX, row: cursorY };
  }

  /** All lines, those that have scrolled away too, without what is empty at the end. */
  get lines(): string[] {
    const lines = this.#read(0, (line) => line.translateToString(true));
    while (lines.at(-1) === "") lines.pop();
    return lines;
  }

  get text(): string {
    return this.lines.join("\n");
  }

  /** Every row of the screen, with the colours of each character. */
  get painted(): string[] {
    return this.#read(this.#terminal.buffer.active.baseY, (line) => {
      const cells: string[] = [];
      for (let column = 0; column < line.length; column += 1) {
        const cell = line.getCell(column);
        if (!cell) continue;
        const looks = [cell.getFgColor(), cell.getBgColor(), cell.isBold(), cell.isInverse()];
        cells.push(`${cell.getChars()}<${looks.join()}>`);
      }
      return cells.join("").replace(/(?:<-1,-1,0,0>|<0,0,0,0>)+$/, "");
    });
  }

  #read(first: number, show: (line: xterm.IBufferLine) => string): string[] {
    const buffer = this.#terminal.buffer.active;
    const lines: string[] = [];
    for (let row = first; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      if (line) lines.push(show(line));
    }
    return lines;
  }
}
