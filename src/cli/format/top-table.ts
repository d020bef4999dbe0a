import type { Job } from "../../contract/job.js";
import type { Output } from "../terminal/output.js";
import { cut } from "./columns.js";
import { byteCount, memoryText, runTimeText } from "./job-facts.js";
import { commandLine } from "./printable.js";
import { progressBar } from "./progress.js";
import { type Column, formatTable } from "./table.js";

/** What jobs can be sorted by, with the key that does it. */
export const SORTS = {
  cpu: { key: "c", title: "CPU" },
  memory: { key: "m", title: "memory" },
  time: { key: "t", title: "run time" },
  progress: { key: "p", title: "progress" },
  id: { key: "i", title: "id" },
} as const;

export type Sort = keyof typeof SORTS;

export const SORT_NAMES = Object.keys(SORTS) as Sort[];

/** In per cent of one processor; undefined where it is not known. */
export type CpuPercentOf = (job: Job) => number | undefined;

export interface TopOrder {
  readonly sort: Sort;
  readonly isReversed: boolean;
}

const BAR_COLUMNS = 10;

/** Returns the jobs in that order: what is most comes first, and ids as they are spelled. */
export function sortedForTop(
  jobs: readonly Job[],
  { sort, isReversed }: TopOrder,
  cpuPercentOf: CpuPercentOf,
): Job[] {
  const amountOf = (job: Job): number => {
    switch (sort) {
      case "cpu":
        return cpuPercentOf(job) ?? -1;
      case "memory":
        return job.usage?.memoryBytes ?? -1;
      case "time":
        return "startedTime" in job && job.startedTime ? -job.startedTime.getTime() : -Infinity;
      case "progress":
        return job.progress?.percent ?? -1;
      case "id":
        return 0;
    }
  };
  const byId = (a: Job, b: Job) => (a.id < b.id ? -1 : Number(a.id > b.id));
  const sorted = [...jobs].sort((a, b) => {
    const difference = amountOf(b) - amountOf(a);
    return Number.isNaN(difference) || difference === 0 ? byId(a, b) : difference;
  });
  return isReversed ? sorted.toReversed() : sorted;
}

/** Returns the table of `top`, of jobs in their order. */
export function formatTopTable(
  jobs: readonly Job[],
  cpuPercentOf: CpuPercentOf,
  output: Pick<Output, "paint" | "width">,
  now = new Date(),
): string[] {
  const columns: Column<Job>[] = [
    { title: "ID", text: ({ id }) => id },
    ...(jobs.some((job) => "name" in job)
      ? [{ title: "NAME", text: ({ name }: Job) => name ?? "" }]
      : []),
    { title: "CPU%", align: "right", text: (job) => cpuPercentOf(job)?.toFixed(1) ?? "" },
    { title: "MEMORY", align: "right", text: memoryText },
    {
      title: "PROCS",
      leftOut: 3,
      align: "right",
      text: ({ usage }) => String(usage?.processes ?? ""),
    },
    { title: "TIME", leftOut: 1, align: "right", text: (job) => runTimeText(job, now) },
    {
      title: "PROGRESS",
      leftOut: 2,
      text: progressCell,
      paint: (text) => output.paint("cyan", text),
    },
    { title: "COMMAND", text: commandLine },
  ];
  const paintTitle = (text: string) => output.paint("bold", text);
  return formatTable(jobs, columns, { width: output.width, paintTitle });
}

/** Returns the whole screen of `top`: as many jobs as fit. */
export function formatTopScreen(
  jobs: readonly Job[],
  { order, cpuPercentOf }: { readonly order: TopOrder; readonly cpuPercentOf: CpuPercentOf },
  output: Pick<Output, "paint" | "width" | "height">,
  now = new Date(),
): string[] {
  const { width, height } = output;
  const room = Math.max(height - 3, 1);
  const shown = sortedForTop(jobs, order, cpuPercentOf).slice(
    0,
    jobs.length <= room ? room : room - 1,
  );
  const hidden = jobs.length - shown.length;
  const sum = (amounts: readonly (number | undefined)[]) =>
    amounts.reduce<number>((total, amount) => total + (amount ?? 0), 0);
  const cpu = sum(jobs.map(cpuPercentOf)).toFixed(1);
  const memory = byteCount(sum(jobs.map(({ usage }) => usage?.memoryBytes)));
  const keys = SORT_NAMES.map((name) => `${SORTS[name].key} ${SORTS[name].title}`).join(", ");
  const by = `${SORTS[order.sort].title}${order.isReversed ? ", reversed" : ""}`;
  const dim = (text: string) => output.paint("dim", cut(text, width));
  return [
    cut(`${jobs.length} running, CPU ${cpu}%, memory ${memory}, by ${by}`, width),
    dim(`keys: ${keys}; again: reversed; q leaves`),
    ...formatTopTable(shown, cpuPercentOf, output, now),
    ...(hidden > 0 ? [dim(`… and ${hidden} more`)] : []),
  ];
}

function progressCell({ progress }: Job): string {
  if (progress?.percent === undefined) return "";
  const percent = String(Math.floor(progress.percent)).padStart(3);
  return `${progressBar(progress.percent, BAR_COLUMNS)} ${percent}%`;
}
