import type { ProcessTable } from "./process-table.js";
import { darwinProcessTable } from "./process-table-darwin.js";
import { linuxProcessTable } from "./process-table-linux.js";

/** The processes of the platform this runs on. */
export function processTable(): ProcessTable {
  return process.platform === "linux" ? linuxProcessTable : darwinProcessTable;
}
