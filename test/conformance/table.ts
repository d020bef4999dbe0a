/** What was seen of one client on one way, a verdict a scenario. */
export interface Row {
  readonly kind: string;
  readonly over: string;
  readonly verdicts: readonly string[];
}

/**
 * A table in Markdown: clients and their ways in rows, one where they did the
 * same, and scenarios in columns, by their numbers in the list before it.
 */
export function formatTable(scenarios: readonly string[], rows: readonly Row[]): string {
  const list = scenarios.map((name, index) => `${index + 1}. ${name}\n`);
  const merged = new Map<string, { row: Row; ways: string[] }>();
  const kinds = [...new Set(rows.map(({ kind }) => kind))];
  for (const row of kinds.flatMap((kind) => rows.filter((row) => row.kind === kind))) {
    const key = [row.kind, ...row.verdicts].join("|");
    const known = merged.get(key);
    if (known) known.ways.push(row.over);
    else merged.set(key, { row, ways: [row.over] });
  }
  const numbers = scenarios.map((_, index) => String(index + 1));
  const head = ["client", "over", ...numbers];
  const lines = [...merged.values()].map(({ row, ways }) => [
    row.kind,
    ways.join(", "),
    ...row.verdicts,
  ]);
  const table = [head, head.map((_, index) => (index < 2 ? "---" : ":-:")), ...lines];
  return `${list.join("")}\n${table.map((cells) => `| ${cells.join(" | ")} |\n`).join("")}`;
}
