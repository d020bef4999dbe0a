import { cutMiddle, displayWidth } from "./columns.js";

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  readonly align?: "left" | "right";
  /** Adds colours to text that has its final width. */
  readonly paint?: (text: string, row: Row) => string;
  /**
   * Where there is not enough room, the column with the highest number is left out first.
   * Those without a number are left out last, from the right.
   */
  readonly leftOut?: number;
}

const GAP = "  ";
/** What the last column is to have at least; others are left out for it. */
const MIN_LAST_COLUMNS = 12;

/**
 * Returns lines with aligned columns, none of them wider than `width`. The last column is
 * cut to fit. Where that is not enough, columns are left out: what is shown is whole.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: { width: number; paintTitle?: (text: string) => string },
): string[] {
  const { width, paintTitle = (text) => text } = options;
  const measured = columns.map((column) => measure(column, rows));
  const shown = thoseThatFit(measured, width);
  const before = totalWidth(shown.slice(0, -1)) + (shown.length > 1 ? GAP.length : 0);
  const lastWidth = Math.max(width - before, 1);
  const place = (text: string, index: number): string => {
    if (index === shown.length - 1) return cutMiddle(text, lastWidth);
    const { width: cellWidth = 0, column } = shown[index] ?? {};
    const padding = " ".repeat(Math.max(cellWidth - displayWidth(text), 0));
    return column?.align === "right" ? padding + text : text + padding;
  };
  const titles = shown.map(({ column }, index) => paintTitle(place(column.title, index)));
  const lines = rows.map((row, line) =>
    shown.map(({ column, cells }, index) => {
      const text = place(cells[line] ?? "", index);
      return column.paint ? column.paint(text, row) : text;
    }),
  );
  return [titles, ...lines].map((line) => line.join(GAP).trimEnd());
}

interface Measured<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const cells = rows.map(column.text);
  const widths = cells.map(displayWidth);
  return { column, cells, width: Math.max(column.title.length, ...widths) };
}

function thoseThatFit<Row>(measured: readonly Measured<Row>[], width: number): Measured<Row>[] {
  let shown = [...measured];
  for (;;) {
    const last = shown.at(-1);
    const needed =
      totalWidth(shown.slice(0, -1)) +
      (shown.length > 1 ? GAP.length : 0) +
      Math.min(last?.width ?? 0, MIN_LAST_COLUMNS);
    const dispensable = shown.filter(({ column }) => column.leftOut !== undefined);
    const [first] = dispensable.sort((a, b) => (b.column.leftOut ?? 0) - (a.column.leftOut ?? 0));
    if (needed <= width || shown.length === 1) return shown;
    const leftOut = first ?? last;
    shown = shown.filter((each) => each !== leftOut);
  }
}

function totalWidth(columns: readonly { readonly width: number }[]): number {
  const gaps = GAP.length * Math.max(columns.length - 1, 0);
  return columns.reduce((sum, { width }) => sum + width, gaps);
}
