import { formatTable } from "../src/cli/format/table.js";

export type TableFormat = "text" | "markdown";

let format: TableFormat = "text";

/** How all tables of this process are printed. */
export function setTableFormat(to: TableFormat): void {
  format = to;
}

/** Prints rows of cells under their titles; all but the first column are right-aligned. */
export function printTable(
  caption: string,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const lines = format === "text" ? textTable(titles, rows) : markdownTable(titles, rows);
  console.log(`\n${caption}`);
  if (format === "markdown") console.log("");
  for (const line of lines) console.log(line);
}

export function textTable(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const columns = titles.map((title, index) => ({
    title,
    text: (row: readonly string[]) => row[index] ?? "",
    align: index === 0 ? ("left" as const) : ("right" as const),
  }));
  // A last column would be cut to the width and not be aligned.
  const padding = { title: "", text: () => "", align: "left" as const };
  return formatTable(rows, [...columns, padding], { width: 200 });
}

export function markdownTable(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const line = (cells: readonly string[]) =>
    `| ${titles.map((_, index) => (cells[index] ?? "").replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `|${titles.map((_, index) => (index === 0 ? "---" : "---:")).join("|")}|`;
  return [line(titles), rule, ...rows.map(line)];
}
