import { onTestFinished } from "vitest";
import { LogOutput, type LogOutputOptions } from "../../../src/logs/log-output.js";

/** Polling is out of the game: what comes was told of by the kernel, or looked for at the end. */
export const NO_POLLING = { pollIntervalMs: 3_600_000 };

/** A LogOutput that is closed when the test is over. */
export function newOutput(options: LogOutputOptions = NO_POLLING): LogOutput {
  const output = new LogOutput(options);
  onTestFinished(() => output.close());
  return output;
}
