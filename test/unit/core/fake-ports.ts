import { vi } from "vitest";
import { jobNotFound } from "../../../src/contract/errors.js";
import { NO_OUTPUT, type Started, type TerminalState } from "../../../src/contract/job.js";
import type { OutputChunk, OutputLine } from "../../../src/contract/procman.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { JobManager, type JobManagerOptions } from "../../../src/core/job-manager.js";
import type {
  Engine,
  JobDraft,
  JobLogs,
  JobProcess,
  JobRecord,
  JobStore,
  Logs,
  Observation,
  StartedProcess,
} from "../../../src/core/ports.js";

export const STARTED: Started = {
  pid: 42,
  startedTime: new Date("2026-01-02T03:04:05Z"),
  containment: "session",
};

export const ALIVE: Extract<Observation, { kind: "alive" }> = {
  kind: "alive",
  recorded: true,
  isEnding: false,
  ageMs: 0,
  ...STARTED,
};

export function exited(exitCode: number): Extract<Observation, { kind: "exited" }> {
  return { kind: "exited", ...STARTED, exitCode, completedTime: new Date() };
}

/** The state of a job that ended so long ago. */
export function endedState(agoMs = 0): TerminalState {
  const completedTime = new Date(Date.now() - agoMs);
  return { status: "completed", ...STARTED, exitCode: 0, completedTime };
}

/** What engine and logs have of one job. A test may put other functions in the place of any. */
export class FakeJob {
  /** What a look at the job's processes finds. */
  observation: Observation = ALIVE;
  chunks: OutputChunk[] = [];
  lines: OutputLine[] = [];
  onEnd: () => void = () => {};
  readonly stopWatching = vi.fn();

  readonly process = {
    abandon: vi.fn<JobProcess["abandon"]>(async () => false),
    ensureOver: vi.fn<JobProcess["ensureOver"]>(async () => true),
    inspect: vi.fn<JobProcess["inspect"]>(async () => this.observation),
    onEnd: vi.fn<JobProcess["onEnd"]>((listener) => {
      this.onEnd = listener;
      if (this.observation.kind !== "alive") queueMicrotask(listener);
      return this.stopWatching;
    }),
    drainOrKill: vi.fn<JobProcess["drainOrKill"]>(),
    signal: vi.fn<JobProcess["signal"]>(async () => true),
    discard: vi.fn<JobProcess["discard"]>(async () => {}),
    stop: vi.fn<JobProcess["stop"]>(async () => void (this.observation = exited(143))),
    remaining: vi.fn<JobProcess["remaining"]>(async () => undefined),
    claimStop: vi.fn<JobProcess["claimStop"]>(() => true),
    hasEndedByItself: vi.fn<JobProcess["hasEndedByItself"]>(() => false),
    onEndResult: vi.fn<JobProcess["onEndResult"]>(() => undefined),
    endOnEnd: vi.fn<JobProcess["endOnEnd"]>(),
    isStopping: false,
    hasUnfinishedStop: vi.fn<JobProcess["hasUnfinishedStop"]>(() => false),
    sendInput: vi.fn<JobProcess["sendInput"]>(async ({ data }) => data.length),
    resize: vi.fn<JobProcess["resize"]>(async () => true),
    listeningPort: vi.fn<JobProcess["listeningPort"]>(async () => undefined),
    usage: vi.fn<JobProcess["usage"]>(async () => ({})),
    usageAtEnd: vi.fn<JobProcess["usageAtEnd"]>(() => ({})),
    release: vi.fn<JobProcess["release"]>(),
    close: vi.fn<JobProcess["close"]>(async () => {}),
  };

  readonly logs = {
    retain: vi.fn<JobLogs["retain"]>(),
    sizes: vi.fn<JobLogs["sizes"]>(async () => NO_OUTPUT),
    lastWriteTime: vi.fn<JobLogs["lastWriteTime"]>(() => undefined),
    watch: vi.fn<JobLogs["watch"]>(() => undefined),
    progress: vi.fn<JobLogs["progress"]>(async () => undefined),
    resolveStart: vi.fn<JobLogs["resolveStart"]>(async () => ({ stdout: 0 })),
    chunks: vi.fn<JobLogs["chunks"]>(() => each(this.chunks)),
    lines: vi.fn<JobLogs["lines"]>(() => each(this.lines)),
    matchingLines: vi.fn<JobLogs["matchingLines"]>(() => each(this.lines)),
    lineStarts: vi.fn<JobLogs["lineStarts"]>(async (positions) => positions),
    findLine: vi.fn<JobLogs["findLine"]>(async () => undefined),
    recordGrowth: vi.fn<JobLogs["recordGrowth"]>(),
    openTimes: vi.fn<JobLogs["openTimes"]>(),
    erase: vi.fn<JobLogs["erase"]>(),
    dispose: vi.fn<JobLogs["dispose"]>(),
  };

  readonly start = vi.fn<(dir: JobDir) => Promise<StartedProcess>>(async () => ({
    process: this.process,
    started: STARTED,
  }));

  /** The command ends, and that is told. */
  end(exitCode: number): void {
    this.observation = exited(exitCode);
    this.onEnd();
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Ports that hold everything in memory, and count what they are asked for. */
export class FakePorts {
  readonly records = new Map<string, JobRecord>();
  readonly #jobs = new Map<string, FakeJob>();

  readonly log = {
    info: vi.fn<(fields: object, message: string) => void>(),
    warn: vi.fn<(fields: object, message: string) => void>(),
    error: vi.fn<(fields: object, message: string) => void>(),
  };
  readonly onClosed = vi.fn(async () => {});

  readonly store = {
    load: vi.fn<JobStore["load"]>(async () => ({
      ended: [],
      records: [...this.records.values()],
      unreadable: [],
    })),
    draft: vi.fn<JobStore["draft"]>((record) => this.draft(record)),
    read: vi.fn<JobStore["read"]>((id) => {
      const record = this.records.get(id);
      if (!record) throw jobNotFound(id);
      return record;
    }),
    remember: vi.fn<JobStore["remember"]>(),
    logBytes: vi.fn<JobStore["logBytes"]>(() => 0),
    write: vi.fn<JobStore["write"]>(
      async (record) => void this.records.set(record.spec.id, record),
    ),
    keepStart: vi.fn<JobStore["keepStart"]>(async () => {}),
    remove: vi.fn<JobStore["remove"]>(async (id) => void this.records.delete(id)),
    dirOf: (id: string) => new JobDir(`/jobs/${id}`),
  };

  readonly engine = {
    prepare: vi.fn<Engine["prepare"]>(async () => ({
      start: (dir: JobDir) => this.job(dir.jobId).start(dir),
    })),
    open: vi.fn<Engine["open"]>(({ jobId }) => this.job(jobId).process),
  };

  readonly logs = {
    open: vi.fn<Logs["open"]>(({ jobId }) => this.job(jobId).logs),
    close: vi.fn<Logs["close"]>(async () => {}),
  };

  /** A directory that is on disk at once. */
  draft(record: JobRecord) {
    return {
      written: Promise.resolve(),
      publish: vi.fn<JobDraft["publish"]>(
        async () => void this.records.set(record.spec.id, record),
      ),
      discard: vi.fn<JobDraft["discard"]>(async () => {}),
    };
  }

  /** What there is of a job, also of one that is still to come. */
  job(id: string): FakeJob {
    const job = this.#jobs.get(id) ?? new FakeJob();
    this.#jobs.set(id, job);
    return job;
  }

  open(options: Partial<JobManagerOptions> = {}): Promise<JobManager> {
    return JobManager.open({
      engine: this.engine,
      store: this.store,
      logs: this.logs,
      log: this.log,
      cleanupAgeMs: 60_000,
      pollIntervalMs: 60_000,
      defaultLogLimitBytes: undefined,
      defaultWorkDir: "/srv",
      onClosed: this.onClosed,
      ...options,
    });
  }
}
