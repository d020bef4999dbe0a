import { onTestFinished } from "vitest";
import { FileLogs, type FileLogsOptions } from "../../../src/logs/file-logs.js";

/** Polling is out of the game: what comes was told of by the kernel, or looked for at the end. */
export const NO_POLLING = { pollIntervalMs: 3_600_000 };

/** A FileLogs that is closed when the test is over. */
export function newOutput(options: FileLogsOptions = NO_POLLING): FileLogs {
  const output = new FileLogs(options);
  onTestFinished(() => output.close());
  return output;
}
