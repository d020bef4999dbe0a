import { isTerminal, type Job } from "../../contract/job.js";
import { commandLine } from "./command-line.js";
import {
  byteCount,
  exitText,
  progressText,
  runTimeMs,
  STATUS_STYLE,
  shortDuration,
} from "./job-facts.js";
import type { Output } from "../terminal/output.js";
import { printable } from "./printable.js";
import { cut, progressBar } from "./progress.js";
import { formatTable } from "./table.js";

const BAR_COLUMNS = 10;
/** "[####------]  42%": what there is always room for. */
const LEAST_PROGRESS_COLUMNS = BAR_COLUMNS + 7;
const MOST_PROGRESS_COLUMNS = 60;
/** About what the other columns take. */
const OTHER_COLUMNS = 65;

/** What is shown of jobs while they change: as many lines as fit, in the order given. */
export function formatLiveTable(
  jobs: readonly Job[],
  output: Pick<Output, "paint" | "width" | "height">,
  now = new Date(),
): string[] {
  const { width, height } = output;
  const room = Math.max(height - 2, 1);
  const shown = jobs.length <= room ? jobs : jobs.slice(0, room - 1);
  const hidden = jobs.length - shown.length;
  return [
    output.paint("dim", cut(summary(jobs), width + 1)),
    ...table(shown, output, now),
    ...(hidden > 0 ? [output.paint("dim", cut(`… and ${hidden} more`, width + 1))] : []),
  ];
}

function summary(jobs: readonly Job[]): string {
  const ended = jobs.filter(isTerminal).length;
  return `${jobs.length - ended} not ended, ${ended} ended. Ctrl-C leaves.`;
}

function table(jobs: readonly Job[], output: Pick<Output, "paint" | "width">, now: Date): string[] {
  const most = Math.min(MOST_PROGRESS_COLUMNS, output.width - OTHER_COLUMNS);
  const progressColumns = Math.max(LEAST_PROGRESS_COLUMNS, most);
  return formatTable<Job>(
    jobs,
    [
      { title: "ID", text: ({ id }) => id },
      {
        title: "STATUS",
        text: ({ status }) => status,
        paint: (text, { status }) => output.paint(STATUS_STYLE[status], text),
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
      {
        title: "PROGRESS",
        text: (job) => progressCell(job, progressColumns),
        paint: (text) => output.paint("cyan", text),
      },
      { title: "COMMAND", text: commandLine },
    ],
    { width: output.width, paintTitle: (text) => output.paint("bold", text) },
  );
}

/** A bar and as much else as there is room for; of a job that failed, its exit code. */
function progressCell(job: Job, columns: number): string {
  if (isTerminal(job))
    return job.status === "completed" ? "" : exitText(job) && `exit ${exitText(job)}`;
  const { progress } = job;
  if (!progress) return "";
  const { percent, ...rest } = progress;
  const facts = progressText(rest);
  if (percent === undefined) return cut(printable(facts || progress.text), columns + 1);
  const bar = `${progressBar(percent, BAR_COLUMNS)} ${String(Math.floor(percent)).padStart(3)}%`;
  const whole = facts === "" ? bar : `${bar}  ${printable(facts)}`;
  return whole.length <= columns ? whole : bar;
}
