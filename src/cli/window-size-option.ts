import { InvalidArgumentError } from "commander";
import type { WindowSize } from "../contract/job.js";

/** "120x40", as terminals are described. @throws InvalidArgumentError */
export function parseWindowSize(text: string): WindowSize {
  const [columns, rows] = (/^(\d{1,5})x(\d{1,5})$/.exec(text.trim()) ?? []).slice(1).map(Number);
  if (columns && rows) return { rows, columns };
  throw new InvalidArgumentError('Give columns and rows: "120x40".');
}
