import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { eventually } from "./eventually.js";
import { tempDir } from "./temp-dir.js";

/** A process that is nobody's job, leader of a session of its own. */
export interface Stranger {
  readonly pid: number;
  /** Its line in /proc, as a runner would write it of itself. */
  readonly stat: string;
}

export async function stranger(
  command: string = "sleep",
  args: readonly string[] = ["1000"],
): Promise<Stranger> {
  const child = spawn(command, args, { detached: true, stdio: "ignore" });
  await once(child, "spawn");
  const pid = child.pid as number;
  onTestFinished(async () => {
    await endProcess(-pid);
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  // Its name changes as it is executed, which its start time does not.
  return { pid, stat: statOf(pid) };
}

/** A process that has ended, and whose parent never asks how. */
export async function zombie(): Promise<Stranger> {
  const file = join(tempDir(), "pid");
  const parent = await stranger("bash", ["-c", `sleep 1000 & echo $! >${file}; exec sleep 1000`]);
  const pid = await eventually("the child", () => Number(readFileSync(file, "utf8")));
  await eventually("its parent's program", () => statOf(parent.pid).includes("(sleep)"));
  const stat = statOf(pid);
  process.kill(pid, "SIGKILL");
  await eventually("its end", () => / Z /.test(statOf(pid)));
  return { pid, stat };
}

export function statOf(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, "latin1").trim();
}

/** The line of a process that had the same pid, and started so many ticks before. */
export function earlier(stat: string, ticks = 1): string {
  const [, before, startTime, after] = /^(.*\) (?:\S+ ){19})(\d+)(.*)$/s.exec(
    stat,
  ) as RegExpExecArray;
  return `${before}${Number(startTime) - ticks}${after}`;
}

/** In hundredths of a second since the machine was booted. */
export function startTimeOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[20]);
}

/** A zombie that nobody asks about has ended. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** Ends a process, or below zero a group of them, if it is there. */
export async function endProcess(pid: number): Promise<void> {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
  await eventually(`the end of process ${pid}`, () => !isRunning(Math.abs(pid)));
}
