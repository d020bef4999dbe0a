import { JobManager, type JobManagerOptions } from "../../src/core/job-manager.js";
import type { Exit, OutputSizes, Progress } from "../../src/contract/job.js";
import { silentLog } from "../../src/contract/log.js";
import type {
  Engine,
  JobRecord,
  JobStore,
  Observation,
  OutputReader,
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

  async open(options: { pollIntervalMs: number; keptRemovals?: number }): Promise<MemoryManager> {
    const manager = new MemoryManager({
      engine: this.#engine(),
      store: this.#store(),
      output: this.#output(),
      log: silentLog,
      cleanupAgeMs: 0,
      defaultWorkDir: "/",
      defaultLogLimitBytes: undefined,
      ...options,
    });
    await manager.recover();
    return manager;
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

  #store(): JobStore {
    const write = (record: JobRecord) =>
      this.#slowly(() => {
        this.#job(record.spec.id).record = record;
        this.onWritten(record);
      });
    return {
      load: async () => ({
        records: [...this.#jobs.values()].flatMap(({ record }) => (record ? [record] : [])),
        unreadable: [],
      }),
      create: (record) =>
        this.#slowly(() => {
          const job = { record, exit: undefined, sizes: GONE, onExit: () => {} };
          this.#jobs.set(record.spec.id, job);
        }),
      write,
      remove: (id) =>
        this.#slowly(() => {
          this.#jobs.delete(id);
          this.onRemoved();
        }),
      dirOf: (id) => id,
    };
  }

  #engine(): Engine {
    const inspect = (id: string): Observation => {
      const { exit } = this.#job(id);
      return exit
        ? { kind: "exited", ...STARTED, ...exit }
        : { kind: "alive", recorded: true, isEnding: false, ageMs: this.ageMs, ...STARTED };
    };
    return {
      prepare: async (spec) => ({ spec, argv: [spec.command], env: {}, envScript: "" }),
      start: () => this.#slowly(() => STARTED),
      abandon: async () => false,
      inspect: (id) => this.#slowly(() => inspect(id)),
      watchExit: (id, onChange) => {
        this.#job(id).onExit = onChange;
        return () => {};
      },
      signal: async () => true,
      stop: async (id, graceMs, signal) => {
        this.gracesMs.push(graceMs);
        if (!this.isStubborn) this.exit(id, 143);
        while (!this.#job(id).exit) {
          signal.throwIfAborted();
          await new Promise(setImmediate);
        }
      },
      isStopping: () => false,
      hasUnfinishedStop: () => false,
      listeningPort: async () => undefined,
      sendInput: async (_id, { data }) => data.length,
      resizeWindow: async () => true,
      release: () => {},
      close: () => {},
    };
  }

  #output(): OutputReader {
    const sizes = (id: string) => this.#jobs.get(id)?.sizes ?? GONE;
    // Nobody reads here what the jobs have written.
    const reader: Pick<OutputReader, "sizes" | "progress" | "limit" | "forget" | "close"> = {
      sizes: (id) => {
        this.looks += 1;
        return this.#slowly(() => sizes(id));
      },
      progress: (id) => this.#slowly(() => progressOf(sizes(id))),
      limit: () => {},
      forget: () => {},
      close: async () => {},
    };
    return reader as OutputReader;
  }
}

/** A manager of jobs that are in memory only. */
export class MemoryManager extends JobManager {
  // oxlint-disable-next-line no-useless-constructor -- it is public here
  constructor(options: JobManagerOptions) {
    super(options);
  }

  override recover(): Promise<void> {
    return super.recover();
  }
}

function progressOf({ stdoutBytes }: OutputSizes): Progress | undefined {
  return stdoutBytes === 0 ? undefined : { current: stdoutBytes, unit: "B", text: "" };
}
