import { computed, effect, type ReadonlySignal, signal } from "@preact/signals-core";
import type { Job } from "../../contract/job.js";
import type { Procman, UnreadableJob } from "../../contract/procman.js";
import { Actions, withProcesses } from "./actions.js";
import { type Door, DoorState, KEEP_INTERVAL_MS } from "./door-state.js";
import { JobState } from "./job-state.js";
import { JobsState } from "./jobs-state.js";
import { Notices } from "./notices.js";
import { type AddressBar, Router } from "./route.js";
import { Selection } from "./selection.js";

const TICK_MS = 1000;

export interface AppOptions {
  readonly procman: Procman;
  readonly door: Door;
  readonly addressBar: AddressBar;
}

export type JobQuestion = "cancel" | "signal" | "restart" | "remove";

/** What is asked before something is done. */
export type Question =
  | { readonly type: JobQuestion; readonly jobs: readonly Job[] }
  | { readonly type: "unreadable"; readonly job: UnreadableJob }
  | { readonly type: "cleanup" | "keys" };

/** All that the page knows. The views show it, and tell it what the user wants. */
export class App {
  readonly procman: Procman;
  readonly door: DoorState;
  readonly router: Router;
  readonly jobs: JobsState;
  readonly notices = new Notices();
  readonly actions: Actions;
  readonly selection: Selection;
  readonly question = signal<Question | undefined>(undefined);
  readonly nowMs = signal(Date.now());
  /** Whether the page can be seen. One that cannot gives its connections back after a while. */
  readonly isVisible = signal(true);
  readonly isReached = signal(true);
  /** The job that is open. */
  readonly job: ReadonlySignal<JobState | undefined>;

  constructor({ procman, door, addressBar }: AppOptions) {
    this.procman = procman;
    this.door = new DoorState(door);
    this.router = new Router(addressBar);
    const query = computed(() => this.router.route.value.query);
    this.jobs = new JobsState({ procman, query, nowMs: this.nowMs });
    this.actions = new Actions({
      procman,
      jobs: this.jobs,
      notices: this.notices,
      askToRemove: (jobs) => this.ask("remove", jobs),
    });
    this.selection = new Selection(this.jobs.rows);
    const jobId = computed(() => this.router.route.value.jobId);
    this.job = computed(() => {
      const id = jobId.value;
      return id === undefined ? undefined : new JobState(procman, id, this.jobs.peek(id));
    });
  }

  /** Goes in and follows what is shown. @param link the secret of a link that was opened */
  run(link: string | undefined): void {
    const isIn = computed(() => this.door.status.value.type === "in");
    this.#whileTrue(
      computed(() => isIn.value && this.isVisible.value && this.job.value === undefined),
      (signal) => void this.jobs.follow(signal),
    );
    effect(() => {
      const job = this.job.value;
      if (!job || !isIn.value || !this.isVisible.value) return;
      const watching = new AbortController();
      void job.follow(watching.signal);
      return () => watching.abort();
    });
    this.#whileTrue(
      computed(() => isIn.value && this.isVisible.value),
      (signal) => {
        this.nowMs.value = Date.now();
        const tick = setInterval(() => {
          this.nowMs.value = Date.now();
        }, TICK_MS);
        const keep = setInterval(() => void this.door.keep(), KEEP_INTERVAL_MS);
        signal.addEventListener("abort", () => {
          clearInterval(tick);
          clearInterval(keep);
        });
      },
    );
    void this.door.open(link);
  }

  /** Ends the session of this browser. */
  async leave(): Promise<void> {
    try {
      await this.door.leave();
    } catch (error) {
      this.notices.error("log out", error);
    }
  }

  /** Asks about jobs, unless there is nothing to ask. */
  ask(type: JobQuestion, jobs: readonly Job[]): void {
    const concerned = type === "cancel" || type === "signal" ? withProcesses(jobs) : jobs;
    if (concerned.length === 0) return;
    // Nothing is lost by starting once more what has ended and left nothing behind.
    if (type === "restart" && withProcesses(jobs).length === 0) return void this.restart(jobs);
    this.question.value = { type, jobs: concerned };
  }

  /** Restarts jobs; where it is the one that is open, the new one is opened. */
  async restart(jobs: readonly Job[]): Promise<void> {
    const { jobId } = this.router.route.value;
    for (const { id } of jobs) {
      const job = await this.actions.restart(id);
      if (job && id === jobId) this.router.openJob(job.id);
    }
  }

  /** Begins the lease of the open job anew. */
  async renewLease(state: JobState): Promise<void> {
    const job = await this.actions.renewLease(state.id);
    if (job) state.hear(job);
  }

  #whileTrue(condition: ReadonlySignal<boolean>, act: (signal: AbortSignal) => void): void {
    effect(() => {
      if (!condition.value) return;
      const controller = new AbortController();
      // What it reads must not have this effect run again.
      queueMicrotask(() => {
        if (!controller.signal.aborted) act(controller.signal);
      });
      return () => controller.abort();
    });
  }
}
