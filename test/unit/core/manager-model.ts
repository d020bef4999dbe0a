import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { JobFilter } from "../../../src/contract/procman.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { ErrorReason, Job, Status } from "../../../src/index.js";
import { Manager } from "../../../src/manager.js";
import { isTerminal } from "../../../src/contract/job.js";

/** What jobs run: some end by themselves, one does not. */
export const COMMANDS = {
  succeed: { command: "true", args: [] },
  fail: { command: "sh", args: ["-c", "echo out; exit 3"] },
  linger: { command: "sleep", args: ["1000"] },
} as const;

export type CommandName = keyof typeof COMMANDS;

/** One job as the model knows it. */
export interface ModelJob {
  readonly id: string;
  readonly name: CommandName;
  readonly label: string;
  readonly requestId: string;
  /** A cancel was asked for. */
  cancelled: boolean;
  /** SIGKILL was sent. */
  killed: boolean;
  /** What was said of it once it had ended; that never changes. */
  ended?: Job;
}

/** What a sequence of calls must have led to. */
export interface Model {
  /** Jobs that there are, oldest first. */
  readonly jobs: ModelJob[];
  readonly removed: ModelJob[];
}

/** The manager under test, through which a run may close it and open the next. */
export class Real {
  manager: Manager;
  readonly #stateDir: string;

  private constructor(stateDir: string, manager: Manager) {
    this.#stateDir = stateDir;
    this.manager = manager;
  }

  static async open(stateDir: string): Promise<Real> {
    return new Real(stateDir, await openManager(stateDir));
  }

  async reopen(): Promise<void> {
    await this.manager.close();
    this.manager = await openManager(this.#stateDir);
  }

  /** Ends and removes all there is. */
  async close(): Promise<void> {
    const { jobs } = await this.manager.list({ pageSize: 1000 });
    for (const { id } of jobs) await this.manager.cancel(id, { gracePeriodMs: 0 }).catch(() => {});
    await this.manager.cleanup({ olderThanMs: 0 });
    await this.manager.close();
  }
}

function openManager(stateDir: string): Promise<Manager> {
  return Manager.open({ stateDir, pollIntervalMs: 50 });
}

/** Holds what is said of a job against the model; the model learns of its end. */
export function checkJob(job: Job, known: ModelJob): void {
  const { command, args } = COMMANDS[known.name];
  expect(job).toMatchObject({ id: known.id, command, args, requestId: known.requestId });
  expect(job.labels).toEqual({ label: known.label });
  expect(possibleStatuses(known), `job ${known.name}`).toContain(job.status);
  if (known.ended) expect(job).toEqual(known.ended);
  if (!isTerminal(job)) return;
  known.ended ??= job;
  if (job.status === "orphaned") return;
  expect(possibleExitCodes(known)).toContain(job.exitCode);
  expect(job.signal).toBe(SIGNALS[job.exitCode]);
  // Output is all there once a job has ended by itself.
  if (job.exitCode === 3) expect(job.stdoutBytes).toBe(4);
}

const SIGNALS: Record<number, string | undefined> = { 137: "SIGKILL", 143: "SIGTERM" };

/** The statuses that a job can have now; it moves on by itself unless it has ended or lingers. */
export function possibleStatuses({ name, cancelled, killed, ended }: ModelJob): Status[] {
  if (ended) return [ended.status];
  // A Cancel has returned: the job has ended, by it or by itself right before it.
  const byItself: Status[] =
    name === "succeed" ? ["completed"] : name === "fail" || killed ? ["failed"] : [];
  const byKill: Status[] = killed ? ["failed"] : [];
  const byCancel: Status[] = cancelled ? ["cancelled"] : ["running"];
  return [...byItself, ...byKill, ...byCancel];
}

function possibleExitCodes({ name, cancelled, killed }: ModelJob): number[] {
  const byItself = { succeed: [0], fail: [3], linger: [] }[name];
  return [...byItself, ...(killed ? [137] : []), ...(cancelled ? [137, 143] : [])];
}

/** Whether a job has surely not ended. */
export function surelyRuns({ name, cancelled, killed, ended }: ModelJob): boolean {
  return name === "linger" && !cancelled && !killed && !ended;
}

/** The reason a call fails with, or undefined where it does not fail. */
export async function reasonOf(call: Promise<unknown>): Promise<ErrorReason | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof ProcmanError) return error.reason;
    throw error;
  }
}

/** Every page of a List; checks that they are pages of that size. */
export async function listAll(
  manager: Manager,
  filter: JobFilter,
  pageSize: number,
): Promise<Job[]> {
  const jobs: Job[] = [];
  for (let pageToken = ""; ; ) {
    const page = await manager.list({ ...filter, pageSize, pageToken });
    jobs.push(...page.jobs);
    pageToken = page.nextPageToken;
    if (pageToken === "") return jobs;
    expect(page.jobs).toHaveLength(pageSize);
  }
}

/** Lets commands that end by themselves do so, so that runs meet both sides of that moment. */
export const letTimePass = (): Promise<void> => sleep(20);
