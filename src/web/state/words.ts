import prettyBytes from "pretty-bytes";
import prettyMs from "pretty-ms";
import {
  type FailureReason,
  hasTimedOut,
  isTerminal,
  type Job,
  type Progress,
} from "../../contract/job.js";
import { shellWord } from "../../platform/shell-word.js";
import { UNPRINTABLE } from "../../platform/unprintable.js";

/*
 * What the page says about jobs. Texts of others (commands, names, labels, errors) go through
 * `visible`, so that none of them hides, turns around or looks like a text of the page.
 */

/** Replaces what cannot be seen, or changes how the rest is read, by pictures or numbers of it. */
export function visible(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f
      ? "\u2421"
      : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/** The same for a text of several lines, which stay lines. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** Returns the command as one would type it, with a mark where not all of it is known. */
export function commandLine(
  job: Pick<Job, "command" | "args"> & Partial<Pick<Job, "truncatedFields">>,
): string {
  const words = [job.command, ...job.args].map(shellWord);
  if (job.truncatedFields?.includes("args")) words.push("…");
  return visible(words.join(" "));
}

/** Returns a duration to be read at a glance: "1h 5m", "320ms". */
export function durationText(ms: number): string {
  if (ms < 1000) return prettyMs(Math.max(0, Math.round(ms)));
  return prettyMs(ms, { unitCount: 2, secondsDecimalDigits: ms < 60_000 ? 1 : 0 });
}

export function bytesText(bytes: number): string {
  return prettyBytes(bytes);
}

/** How long a job ran, or has been running; undefined where it was not started. */
export function runTimeMs(job: Job, nowMs: number): number | undefined {
  if (!("startedTime" in job) || job.startedTime === undefined) return undefined;
  const endMs = isTerminal(job) ? job.completedTime.getTime() : nowMs;
  return Math.max(0, endMs - job.startedTime.getTime());
}

/** Returns "0", "137 SIGKILL", or "" while there is no exit code. */
export function exitText(job: Job): string {
  if (!("exitCode" in job)) return "";
  return job.signal === undefined ? String(job.exitCode) : `${job.exitCode} ${job.signal}`;
}

const REASON_WORDS: Readonly<Record<FailureReason, string>> = { OUT_OF_MEMORY: "out of memory" };

/** Says why a job ended, in a few words; undefined where only its exit code tells. */
export function reasonText(job: Job): string | undefined {
  if (hasTimedOut(job)) return "timed out";
  // Nothing else ends a job as Cancel does without having been asked to.
  if (job.status === "cancelled" && job.error !== undefined) return "lease ran out";
  if (job.status !== "failed" || job.reason === undefined) return undefined;
  // A newer server may know more of them.
  return REASON_WORDS[job.reason] ?? visible(job.reason).toLowerCase().replaceAll("_", " ");
}

/** Returns "2 processes". */
export function processCount(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "process" : "processes"}`;
}

/** What shells and many programs mean by an exit code. */
const MEANING_OF_EXIT: Readonly<Record<number, string>> = {
  1: "the command reports a failure",
  2: "the command reports a failure; many programs mean that they were called wrongly",
  126: "the command was found but could not be run",
  127: "a command was not found",
};

const MEANING_OF_SIGNAL: Readonly<Record<string, string>> = {
  SIGHUP: "its terminal was closed",
  SIGINT: "it was interrupted, as by Ctrl-C",
  SIGQUIT: "it was told to quit",
  SIGILL: "it ran into an instruction that is none",
  SIGABRT: "it gave up by itself (abort)",
  SIGBUS: "it used memory that is not there",
  SIGFPE: "it divided by zero, or the like",
  SIGKILL: "it was killed, by Cancel, by somebody, or as the machine ran out of memory",
  SIGSEGV: "it used memory that is not its own (a crash)",
  SIGPIPE: "it wrote to a pipe that nobody reads",
  SIGALRM: "a timer of its own ran out",
  SIGTERM: "it was asked to end",
  SIGXCPU: "it used more CPU time than its limit",
  SIGXFSZ: "it wrote a larger file than its limit",
};

/** Says in words how a job stands, or what its end means, and what is left of it. */
export function statusWords(job: Job): string {
  const { remainingProcesses: left } = job;
  if (left === undefined) return stateWords(job);
  const run = left === 1 ? "runs" : "run";
  return `${stateWords(job)} It has left ${processCount(left)} behind, which still ${run}.`;
}

function stateWords(job: Job): string {
  switch (job.status) {
    case "pending":
      return "It is about to start.";
    case "running":
      return "It is running.";
    case "completed":
      return "It ended well, with exit code 0.";
    case "cancelled":
      if (job.error !== undefined) return `It was cancelled: ${visible(job.error)}.`;
      return `It was cancelled${job.signal === undefined ? `, and ended with exit code ${job.exitCode}` : ` and ended by ${job.signal}`}.`;
    case "orphaned":
      return `How it ended cannot be known: ${visible(job.error)}.`;
    case "failed": {
      if (hasTimedOut(job)) return `It ran into its time limit: ${visible(job.error ?? "")}.`;
      if (job.reason === "OUT_OF_MEMORY") {
        return `It ran ${visible(job.error ?? "out of memory")}. Its exit is ${exitText(job)}.`;
      }
      const because = job.error === undefined ? "" : ` ${visible(job.error)}.`;
      if (job.signal !== undefined) {
        const meaning = MEANING_OF_SIGNAL[job.signal];
        return `It was ended by ${job.signal}${meaning ? `: ${meaning}` : ""}.${because}`;
      }
      const meaning = MEANING_OF_EXIT[job.exitCode];
      return `It failed with exit code ${job.exitCode}${meaning ? `: ${meaning}` : ""}.${because}`;
    }
  }
}

/** Returns what is known of a progress: "12.3 MB of 30 MB · 3.1 MB/s · 1m 2s left". */
export function progressWords({ current, total, rate, etaMs, unit }: Progress): string {
  const parts = [
    current === undefined
      ? undefined
      : total === undefined
        ? amountText(current, unit)
        : `${amountText(current, unit === "B" ? unit : "")} of ${amountText(total, unit)}`,
    rate === undefined ? undefined : `${amountText(rate, unit)}/s`,
    etaMs === undefined ? undefined : `${durationText(etaMs)} left`,
  ];
  return parts.filter((part) => part !== undefined).join(" · ");
}

function amountText(value: number, unit: string): string {
  if (unit === "B") return bytesText(value);
  const number = value.toLocaleString("en", { maximumFractionDigits: 1 });
  return unit === "" ? number : `${number} ${visible(unit)}`;
}
