import type { Job } from "../../contract/job.js";
import { commandLine } from "./command-line.js";
import {
  byteCount,
  exitText,
  runTimeMs,
  STATUS_STYLE,
  shortDuration,
  statusText,
} from "./job-facts.js";
import type { Output } from "../terminal/output.js";
import { formatTable } from "./table.js";

/** The lines of a table of jobs, made for that output. */
export function formatJobTable(
  jobs: readonly Job[],
  output: Pick<Output, "paint" | "width">,
  now = new Date(),
): string[] {
  return formatTable<Job>(
    jobs,
    [
      { title: "ID", text: ({ id }) => id },
      {
        title: "STATUS",
        text: statusText,
        paint: (text, { status }) => output.paint(STATUS_STYLE[status], text),
      },
      { title: "EXIT", text: exitText },
      {
        title: "AGE",
        align: "right",
        text: ({ createdTime }) =>
          shortDuration(Math.max(0, now.getTime() - createdTime.getTime())),
      },
      {
        title: "TIME",
        align: "right",
        text: (job) => {
          const ms = runTimeMs(job, now);
          return ms === undefined ? "" : shortDuration(ms);
        },
      },
      {
        title: "OUTPUT",
        align: "right",
        text: ({ stdoutBytes, stderrBytes }) => byteCount(stdoutBytes + stderrBytes),
      },
      { title: "COMMAND", text: commandLine },
    ],
    { width: output.width, paintTitle: (text) => output.paint("bold", text) },
  );
}
