import { isTerminal, type Job } from "../../contract/job.js";
import type { UnreadableJob } from "../../contract/procman.js";
import type { Output } from "../terminal/output.js";
import {
  byteCount,
  cpuTimeText,
  endText,
  exitText,
  memoryText,
  runTimeText,
  STATUS_STYLE,
  shortDuration,
  statusText,
} from "./job-facts.js";
import { cut } from "./columns.js";
import { commandLine, printable } from "./printable.js";
import { progressBar, progressText } from "./progress.js";
import { type Column, formatTable } from "./table.js";

/** Returns the lines of a table of jobs. Of those that are unreadable it has what is known. */
export function formatJobTable(
  jobs: readonly (Job | UnreadableJob)[],
  output: Pick<Output, "paint" | "width">,
  now = new Date(),
): string[] {
  const columns: readonly Column<Job>[] = [
    ID,
    ...nameColumns(jobs),
    statusColumn(output, statusText),
    { title: "EXIT", text: exitText, leftOut: 2 },
    {
      title: "AGE",
      leftOut: 3,
      align: "right",
      text: ({ createdTime }) => shortDuration(Math.max(0, now.getTime() - createdTime.getTime())),
    },
    timeColumn(now),
    ...usageColumns(jobs),
    OUTPUT,
    COMMAND,
  ];
  return jobTable(
    jobs,
    output,
    columns.map((column) => orUnreadable(column, output)),
  );
}

/** Returns the column with what it has to say of jobs that are unreadable. */
function orUnreadable(
  { text, paint = (cell) => cell, ...column }: Column<Job>,
  output: Pick<Output, "paint">,
): Column<Job | UnreadableJob> {
  const { title } = column;
  const known: Readonly<Record<string, (job: UnreadableJob) => string>> = {
    [ID.title]: ({ id }) => printable(id),
    STATUS: () => "unreadable",
    [COMMAND.title]: ({ error }) => printable(error),
  };
  const paintKnown = (cell: string) => (title === "STATUS" ? output.paint("red", cell) : cell);
  return {
    ...column,
    text: (job) => ("status" in job ? text(job) : (known[title]?.(job) ?? "")),
    paint: (cell, job) => ("status" in job ? paint(cell, job) : paintKnown(cell)),
  };
}

const BAR_COLUMNS = 10;
/** "[####------]  42%": what there is always room for. */
const MIN_PROGRESS_COLUMNS = BAR_COLUMNS + 7;
const MAX_PROGRESS_COLUMNS = 60;
/** An id, a status, a bar and something of the command. In less, the status tells the percentage. */
const MIN_COLUMNS_FOR_BARS = 60;
/** About what the other columns take. */
const OTHER_COLUMNS = 65;

/** Returns the table of `ls --watch`: as many of the jobs as fit, in the order given. */
export function formatLiveTable(
  jobs: readonly Job[],
  output: Pick<Output, "paint" | "width" | "height">,
  now = new Date(),
): string[] {
  const { width, height } = output;
  const room = Math.max(height - 2, 1);
  const shown = jobs.length <= room ? jobs : jobs.slice(0, room - 1);
  const hidden = jobs.length - shown.length;
  const ended = jobs.filter(isTerminal).length;
  const dim = (text: string) => output.paint("dim", cut(text, width));
  const progressColumns = Math.max(
    MIN_PROGRESS_COLUMNS,
    Math.min(MAX_PROGRESS_COLUMNS, width - OTHER_COLUMNS - longestName(shown)),
  );
  const hasBars = width >= MIN_COLUMNS_FOR_BARS;
  const progress: Column<Job> = {
    title: "PROGRESS",
    text: (job) => progressCell(job, progressColumns),
    paint: (text) => output.paint("cyan", text),
  };
  const table = jobTable(shown, output, [
    ID,
    ...nameColumns(shown),
    statusColumn(output, hasBars ? endText : statusText),
    timeColumn(now),
    OUTPUT,
    ...(hasBars ? [progress] : []),
    COMMAND,
  ]);
  return [
    dim(`${jobs.length - ended} running, ${ended} ended. Ctrl-C leaves.`),
    ...table,
    ...(hidden > 0 ? [dim(`… and ${hidden} more`)] : []),
  ];
}

/** A bar and as much else as there is room for; of a job that failed, its exit code. */
function progressCell(job: Job, columns: number): string {
  if (isTerminal(job))
    return job.status === "completed" ? "" : exitText(job) && `exit ${exitText(job)}`;
  const { progress } = job;
  if (!progress) return "";
  const { percent, ...rest } = progress;
  const facts = progressText(rest);
  if (percent === undefined) return cut(printable(facts || progress.text), columns);
  const bar = `${progressBar(percent, BAR_COLUMNS)} ${String(Math.floor(percent)).padStart(3)}%`;
  const whole = facts === "" ? bar : `${bar}  ${printable(facts)}`;
  return whole.length <= columns ? whole : bar;
}

const ID: Column<Job> = { title: "ID", text: ({ id }) => id };
const NAME: Column<Job> = { title: "NAME", text: ({ name }) => name ?? "" };
const OUTPUT: Column<Job> = {
  title: "OUTPUT",
  leftOut: 4,
  align: "right",
  text: ({ stdoutBytes, stderrBytes }) => byteCount(stdoutBytes + stderrBytes),
};
const CPU: Column<Job> = { title: "CPU", leftOut: 6, align: "right", text: cpuTimeText };
const MEMORY: Column<Job> = { title: "MEMORY", leftOut: 5, align: "right", text: memoryText };
const COMMAND: Column<Job> = { title: "COMMAND", text: commandLine };

/** Returns the columns of what jobs use, where it is known of any. */
function usageColumns(jobs: readonly object[]): Column<Job>[] {
  return jobs.some((job) => "usage" in job) ? [CPU, MEMORY] : [];
}

/** Returns the column of names, where any job has one. */
function nameColumns(jobs: readonly object[]): Column<Job>[] {
  return jobs.some((job) => "name" in job) ? [NAME] : [];
}

function longestName(jobs: readonly Job[]): number {
  return Math.max(0, ...jobs.map(({ name = "" }) => name.length));
}

function statusColumn(output: Pick<Output, "paint">, text: (job: Job) => string): Column<Job> {
  const paint = (text: string, { status }: Job) => output.paint(STATUS_STYLE[status], text);
  return { title: "STATUS", text, paint };
}

function timeColumn(now: Date): Column<Job> {
  return { title: "TIME", leftOut: 1, align: "right", text: (job) => runTimeText(job, now) };
}

function jobTable<Row>(
  jobs: readonly Row[],
  output: Pick<Output, "paint" | "width">,
  columns: readonly Column<Row>[],
): string[] {
  const paintTitle = (text: string) => output.paint("bold", text);
  return formatTable(jobs, columns, { width: output.width, paintTitle });
}
