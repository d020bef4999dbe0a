import { formatTable } from "../src/cli/format/table.js";

/** Prints rows of cells under their titles; all but the first column are right-aligned. */
export function printTable(
  caption: string,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const columns = titles.map((title, index) => ({
    title,
    text: (row: readonly string[]) => row[index] ?? "",
    align: index === 0 ? ("left" as const) : ("right" as const),
  }));
  // A last column would be cut to the width and not be aligned.
  const padding = { title: "", text: () => "", align: "left" as const };
  console.log(`\n${caption}`);
  for (const line of formatTable(rows, [...columns, padding], { width: 200 })) console.log(line);
}
