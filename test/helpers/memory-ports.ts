import { JobManager } from "../../src/core/job-manager.js";
import { JobDir } from "../../src/core/job-dir.js";
import type { Exit, OutputSizes, ProcessUsage, Progress } from "../../src/contract/job.js";
import { jobNotFound } from "../../src/contract/errors.js";
import { silentLog } from "../../src/contract/log.js";
import { abortable } from "../../src/platform/abort-signals.js";
import type {
  Engine,
  JobRecord,
  JobStore,
  Observation,
  JobLogs,
  JobProcess,
  Logs,
} from "../../src/core/ports.js";

interface MemoryJob {
  record: JobRecord | undefined;
  exit: Exit | undefined;
  sizes: OutputSizes;
  onExit: () => void;
}

const STARTED = { pid: 42, startedTime: new Date("2026-01-02"), containment: "session" } as const;
const GONE: OutputSizes = {
  stdoutBytes: 0,
  stderrBytes: 0,
  stdoutFirstOffset: 0,
  stderrFirstOffset: 0,
};

/**
 * A machine in memory: commands run until they are told to end, and write what
 * they are told to. Everything takes `delay`, before it happens and after.
 */
export class MemoryMachine {
  readonly #jobs = new Map<string, MemoryJob>();
  readonly #delay: () => Promise<void>;

  constructor(delay: () => Promise<void>) {
    this.#delay = delay;
  }

  /** How often a log's size was asked for. */
  looks = 0;
  /** How often a job's usage was measured. */
  measurements = 0;
  /** What jobs use, by their ids. */
  readonly usages = new Map<string, ProcessUsage>();
  /** How often the jobs' files were changed, or that was tried. */
  changes = 0;
  /** Called when a job's files are gone, and nobody has been told yet. */
  onRemoved: () => void = () => {};
  /** Called when a record was written, and nobody has been told yet. */
  onWritten: (record: JobRecord) => void = () => {};
  /** The age of each command, by the kernel's clock. */
  ageMs = 0;
  /** Whether a command's end is told of; else it has to be looked for. */
  tellsOfExits = true;
  /** Whether commands live on although they are being stopped. */
  isStubborn = false;
  /** The grace of each stop, in the order asked for. */
  readonly gracesMs: number[] = [];

  write(id: string, bytes: number): void {
    const job = this.#jobs.get(id);
    if (!job || job.exit) return;
    job.sizes = { ...job.sizes, stdoutBytes: job.sizes.stdoutBytes + bytes };
  }

  exit(id: string, exitCode: number): void {
    const job = this.#jobs.get(id);
    if (!job) return;
    job.exit ??= { exitCode, completedTime: new Date() };
    if (this.tellsOfExits) job.onExit();
  }

  recordOf(id: string): JobRecord | undefined {
    return this.#jobs.get(id)?.record;
  }

  async open(options: { pollIntervalMs: number; keptRemovals?: number }): Promise<JobManager> {
    return JobManager.open({
      engine: this.#engine(),
      store: this.#store(),
      logs: this.#logs(),
      log: silentLog,
      cleanupAgeMs: 0,
      defaultWorkDir: "/",
      defaultLogLimitBytes: undefined,
      ...options,
    });
  }

  #job(id: string): MemoryJob {
    const job = this.#jobs.get(id);
    if (!job) throw new Error(`job ${id} is not there`);
    return job;
  }

  #slowly<T>(act: () => T): Promise<T> {
    return this.#delay().then(async () => {
      const result = act();
      await this.#delay();
      return result;
    });
  }

  #change(act: () => void): Promise<void> {
    return this.#slowly(() => {
      this.changes += 1;
      act();
    });
  }

  #store(): JobStore {
    const write = (record: JobRecord) =>
      this.#change(() => {
        this.#job(record.spec.id).record = record;
        this.onWritten(record);
      });
    return {
      load: async () => ({
        ended: [],
        records: [...this.#jobs.values()].flatMap(({ record }) => (record ? [record] : [])),
        unreadable: [],
      }),
      draft: (record) => ({
        written: Promise.resolve(),
        publish: () => {
          const job = { record, exit: undefined, sizes: GONE, onExit: () => {} };
          this.#jobs.set(record.spec.id, job);
          return this.#change(() => {});
        },
        discard: async () => {},
      }),
      write,
      read: (id) => {
        const { record } = this.#job(id);
        if (!record) throw jobNotFound(id);
        return record;
      },
      remember: () => {},
      logBytes: (id) => this.#jobs.get(id)?.sizes.stdoutBytes ?? 0,
      keepStart: () => this.#slowly(() => {}),
      remove: (id) =>
        this.#change(() => {
          this.#jobs.delete(id);
          this.onRemoved();
        }),
      dirOf: (id) => new JobDir(`/jobs/${id}`),
    };
  }

  #engine(): Engine {
    const open = ({ jobId }: JobDir) => this.#process(jobId);
    return {
      prepare: async () => ({
        start: (dir) => this.#slowly(() => ({ process: open(dir), started: STARTED })),
      }),
      open,
    };
  }

  #process(id: string): JobProcess {
    const inspect = (): Observation => {
      const { exit } = this.#job(id);
      return exit
        ? { kind: "exited", ...STARTED, ...exit }
        : { kind: "alive", recorded: true, isEnding: false, ageMs: this.ageMs, ...STARTED };
    };
    /** The pieces of input that are being added. */
    let pieces: Promise<unknown> = Promise.resolve();
    return {
      abandon: async () => false,
      ensureOver: async () => true,
      inspect: () => this.#slowly(inspect),
      onEnd: (listener) => {
        this.#job(id).onExit = listener;
        if (this.#job(id).exit) queueMicrotask(listener);
        return () => {};
      },
      drainOrKill: () => {},
      signal: async () => true,
      discard: async () => {},
      stop: async (graceMs, signal) => {
        this.gracesMs.push(graceMs);
        // That it has begun is on disk, and later that it is over.
        this.changes += 1;
        if (!this.isStubborn) this.exit(id, 143);
        while (!this.#job(id).exit) {
          if (signal.aborted) {
            // To hear of that takes a moment, in which it goes on.
            await this.#slowly(() => (this.changes += 1));
            signal.throwIfAborted();
          }
          await new Promise(setImmediate);
        }
        this.changes += 1;
      },
      remaining: async () => undefined,
      claimStop: () => true,
      hasEndedByItself: () => false,
      onEndResult: () => undefined,
      endOnEnd: () => {},
      isStopping: false,
      hasUnfinishedStop: () => false,
      listeningPort: async () => undefined,
      sendInput: (_piece, signal) => {
        pieces = Promise.all([pieces, this.#change(() => {})]);
        return abortable(
          pieces.then(() => 0),
          signal,
        );
      },
      resize: async () => true,
      usage: async () => {
        this.measurements += 1;
        return this.usages.get(id) ?? {};
      },
      usageAtEnd: () => ({}),
      release: () => {},
      close: async () => {
        await pieces;
      },
    };
  }

  #logs(): Logs {
    return { open: ({ jobId }) => this.#jobLogs(jobId), close: async () => {} };
  }

  #jobLogs(id: string): JobLogs {
    const sizes = () => this.#jobs.get(id)?.sizes ?? GONE;
    // Nobody reads here what the jobs have written.
    const logs: Pick<
      JobLogs,
      "sizes" | "lastWriteTime" | "watch" | "progress" | "retain" | "recordGrowth" | "dispose"
    > = {
      sizes: () => {
        this.looks += 1;
        return this.#slowly(sizes);
      },
      lastWriteTime: () => undefined,
      watch: () => undefined,
      progress: () => this.#slowly(() => progressOf(sizes())),
      retain: () => {},
      recordGrowth: () => {},
      dispose: () => {},
    };
    return logs as JobLogs;
  }
}

function progressOf({ stdoutBytes }: OutputSizes): Progress | undefined {
  return stdoutBytes === 0 ? undefined : { current: stdoutBytes, unit: "B", text: "" };
}
