import { cut } from "./printable.js";

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  readonly align?: "left" | "right";
  /** Adds colours to text that has its final width. */
  readonly paint?: (text: string, row: Row) => string;
}

const GAP = "  ";

/**
 * Returns lines with aligned columns. Only the last column is cut to fit the width:
 * the others hold what one copies.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: { width: number; paintTitle?: (text: string) => string },
): string[] {
  const { width, paintTitle = (text) => text } = options;
  const cells = rows.map((row) => columns.map(({ text }) => text(row)));
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...cells.map((line) => (line[index] ?? "").length)),
  );
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + GAP.length, 0);
  const lastWidth = Math.max(width - before, 8);
  const place = (text: string, index: number): string => {
    if (index === columns.length - 1) return cut(text, lastWidth);
    const cellWidth = widths[index] ?? 0;
    return columns[index]?.align === "right" ? text.padStart(cellWidth) : text.padEnd(cellWidth);
  };
  const titles = columns.map(({ title }, index) => paintTitle(place(title, index)));
  const lines = rows.map((row, line) =>
    columns.map(({ paint }, index) => {
      const text = place(cells[line]?.[index] ?? "", index);
      return paint ? paint(text, row) : text;
    }),
  );
  return [titles, ...lines].map((line) => line.join(GAP).trimEnd());
}
