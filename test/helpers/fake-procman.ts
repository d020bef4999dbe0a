import { EventEmitter, on } from "node:events";
import type {
  AttachEvent,
  AttachOptions,
  BoundedOutput,
  CallOptions,
  CancelOptions,
  CleanupOptions,
  InputPosition,
  JobPage,
  JobResult,
  JobResults,
  JobSelection,
  JobsEvent,
  ListOptions,
  ReadOutputOptions,
  RemoveJobsOptions,
  RemoveOptions,
  RenewLeaseOptions,
  RestartOptions,
  SendInputOptions,
  StartOptions,
  UnreadableJob,
  WaitedJob,
  WaitOptions,
  WaitOutcome,
  WatchEvent,
  WatchJobsOptions,
  WatchOptions,
} from "../../src/contract/procman.js";
import { isMatch } from "../../src/contract/procman.js";
import { jobNotFound, ProcmanError } from "../../src/contract/errors.js";
import type { Job, Stream, WindowSize } from "../../src/contract/job.js";
import type { ChunkMemory, ServedProcman } from "../../src/core/ports.js";
import { defined } from "../../src/platform/defined.js";

interface FakeJob {
  job: Job;
  readonly output: { stream: Stream; data: Buffer }[];
  input: Buffer;
  /** Bytes of it, by sender. */
  readonly takenOf: Map<string, number>;
}

/** A call as it came, by the name of its method. */
export interface FakeCall {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** Jobs that are what a test says. No processes, no files. */
export class FakeProcman implements ServedProcman {
  readonly calls: FakeCall[] = [];
  /** Streams whose generator has begun and not been released. */
  openStreams = 0;
  /** Chunks that `attach` has given to whoever asked. */
  given = 0;
  /** What the next call fails with. */
  failure: unknown;
  /** What waits for something else than the end come to. */
  outcome: WaitOutcome | undefined;
  /** What `start` waits for before it answers. */
  beforeStart: Promise<unknown> = Promise.resolve();
  /** Jobs whose records cannot be read. */
  unreadable: readonly UnreadableJob[] = [];
  readonly #jobs = new Map<string, FakeJob>();
  readonly #changed = new EventEmitter().setMaxListeners(0);

  addJob(id: string, rest: Partial<Job> = {}): Job {
    const job = {
      id,
      requestId: "",
      command: "sleep",
      args: ["1"],
      env: {},
      clearEnv: false,
      workDir: "/",
      labels: {},
      mergeOutput: false,
      output: "file",
      pty: false,
      stdin: false,
      createdTime: new Date("2026-01-02T03:04:05.678Z"),
      stdoutBytes: 0,
      stderrBytes: 0,
      stdoutFirstOffset: 0,
      stderrFirstOffset: 0,
      status: "running",
      pid: 42,
      startedTime: new Date("2026-01-02T03:04:06.789Z"),
      containment: "session",
      ...rest,
    } as Job;
    this.#jobs.set(id, { job, output: [], input: Buffer.alloc(0), takenOf: new Map() });
    this.#changed.emit("change", id);
    return job;
  }

  write(id: string, data: string | Buffer, stream: Stream = "stdout"): void {
    const entry = this.#entry(id);
    entry.output.push({ stream, data: Buffer.from(data) });
    this.#changed.emit("change", id);
  }

  end(id: string, rest: Partial<Job> = {}): void {
    const entry = this.#entry(id);
    const exit = { status: "completed", exitCode: 0, completedTime: new Date() };
    entry.job = { ...entry.job, ...exit, ...rest } as Job;
    this.#changed.emit("change", id);
  }

  /** The options of the last call of that method. */
  lastCall(method: string): readonly unknown[] {
    const call = this.calls.findLast((call) => call.method === method);
    if (!call) throw new Error(`${method} was not called`);
    return call.args;
  }

  async start(options: StartOptions): Promise<Job> {
    this.#note("start", options);
    await this.beforeStart;
    return this.addJob(`job${this.#jobs.size + 1}`, {
      command: options.command,
      args: options.args ?? [],
      env: options.env ?? {},
      labels: options.labels ?? {},
      pty: options.pty ?? false,
      stdin: options.stdin ?? false,
      ...defined({ name: options.name }),
    });
  }

  async restart(idOrName: string, options?: RestartOptions): Promise<Job> {
    this.#note("restart", idOrName, options);
    const { job } = this.#entry(idOrName);
    this.end(job.id, { status: "cancelled" });
    const { command, args, name } = job;
    const rest = { command, args, previousId: job.id, ...defined({ name }) };
    return this.addJob(`job${this.#jobs.size + 1}`, rest);
  }

  async renewLease(idOrName: string, options?: RenewLeaseOptions): Promise<Job> {
    this.#note("renewLease", idOrName, options);
    return this.#entry(idOrName).job;
  }

  async get(id: string, options?: CallOptions): Promise<Job> {
    this.#note("get", id, options);
    return this.#entry(id).job;
  }

  async list(options?: ListOptions): Promise<JobPage> {
    this.#note("list", options);
    const jobs = [...this.#jobs.values()].map(({ job }) => job).toReversed();
    const { unreadable } = this;
    const unreadableSize = unreadable.length;
    return {
      jobs,
      nextPageToken: "next",
      totalSize: jobs.length,
      unreadable,
      unreadableSize,
    };
  }

  async readOutput(id: string, options: ReadOutputOptions = {}): Promise<BoundedOutput> {
    this.#note("readOutput", id, options);
    const { job, output } = this.#entry(id);
    const next = { stdout: 0, stderr: 0 };
    const parts = output.map(({ stream, data }) => {
      const offset = next[stream];
      next[stream] += data.length;
      return { stream, offset, data, omittedBytes: 0 };
    });
    return { job, parts, stdoutNextOffset: next.stdout, stderrNextOffset: next.stderr };
  }

  async *attach(
    id: string,
    options: AttachOptions = {},
    ...memory: ChunkMemory[]
  ): AsyncGenerator<AttachEvent> {
    this.#note("attach", id, options, ...memory);
    this.openStreams += 1;
    try {
      const entry = this.#entry(id);
      yield { type: "opened", job: entry.job };
      const offsets = { stdout: 0, stderr: 0 };
      for (let next = 0; ; ) {
        const piece = entry.output[next];
        if (piece) {
          next += 1;
          this.given += 1;
          const { stream, data } = piece;
          yield { type: "chunk", stream, offset: offsets[stream], data };
          offsets[stream] += data.length;
          continue;
        }
        if (!options.follow || entry.job.status !== "running") break;
        await this.#change(options.signal);
      }
      yield { type: "ended", job: entry.job };
    } finally {
      this.openStreams -= 1;
    }
  }

  async *watch(id: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent> {
    this.#note("watch", id, options);
    for await (const event of this.attach(id, { ...options, follow: true })) {
      if (event.type !== "chunk") yield event;
      else {
        const { stream, offset, data } = event;
        yield {
          type: "line",
          stream,
          offset,
          nextOffset: offset + data.length,
          text: data.toString().trimEnd(),
          terminator: "lf",
          progress: { percent: 50, unit: "B", etaMs: 1500.25, text: "50%" },
        };
      }
    }
  }

  /** What `until` asks for comes at once where `outcome` says so. */
  async wait(id: string, options: WaitOptions = {}): Promise<WaitedJob> {
    this.#note("wait", id, options);
    const entry = this.#entry(id);
    if (options.until && this.outcome) return { ...entry.job, outcome: this.outcome };
    if (options.timeoutMs === 0) return entry.job;
    while (entry.job.status === "running") await this.#change(options.signal);
    return entry.job;
  }

  async *watchJobs(options: WatchJobsOptions = {}): AsyncGenerator<JobsEvent> {
    this.#note("watchJobs", options);
    this.openStreams += 1;
    const changes = on(this.#changed, "change", options.signal ? { signal: options.signal } : {});
    try {
      const jobs = [...this.#jobs.values()].map(({ job }) => job);
      yield { type: "snapshot", jobs, revision: "0" };
      let revision = 0;
      for await (const [id] of changes as AsyncIterable<[string]>) {
        const entry = this.#jobs.get(id);
        const event = entry
          ? ({ type: "changed", job: entry.job } as const)
          : ({ type: "removed", id } as const);
        revision += 1;
        yield { ...event, revision: String(revision) };
      }
    } finally {
      this.openStreams -= 1;
      await changes.return?.();
    }
  }

  async signal(id: string, signal: string, options?: CallOptions): Promise<Job> {
    this.#note("signal", id, signal, options);
    return this.#entry(id).job;
  }

  async cancel(id: string, options?: CancelOptions): Promise<Job> {
    this.#note("cancel", id, options);
    this.end(id, { status: "cancelled" });
    return this.#entry(id).job;
  }

  /** All that has been sent. */
  inputOf(id: string): Buffer {
    return this.#entry(id).input;
  }

  async sendInput(id: string, options: SendInputOptions): Promise<InputPosition> {
    this.#note("sendInput", id, options);
    const entry = this.#entry(id);
    const { sender = "", data = new Uint8Array() } = options;
    const taken = entry.takenOf.get(sender) ?? 0;
    const rest = data.subarray(taken - (options.offset ?? taken));
    entry.input = Buffer.concat([entry.input, rest]);
    entry.takenOf.set(sender, taken + rest.length);
    return { nextOffset: taken + rest.length };
  }

  async resizeWindow(id: string, size: WindowSize, options?: CallOptions): Promise<Job> {
    this.#note("resizeWindow", id, size, options);
    return this.#entry(id).job;
  }

  async remove(id: string, options?: RemoveOptions): Promise<void> {
    this.#note("remove", id, options);
    if (this.unreadable.some((job) => job.id === id)) {
      if (!options?.unreadable) throw new ProcmanError("RECORD_UNREADABLE", `job ${id}`);
      this.unreadable = this.unreadable.filter((job) => job.id !== id);
      return;
    }
    const { job } = this.#entry(id);
    if (job.status === "running") {
      throw new ProcmanError("JOB_RUNNING", `job ${id} is running`, { jobId: id });
    }
    this.#jobs.delete(id);
    this.#changed.emit("change", id);
  }

  async cancelJobs(selection: JobSelection, options?: CancelOptions): Promise<JobResults> {
    this.#note("cancelJobs", selection, options);
    return this.#onEach(selection, (id) => this.cancel(id));
  }

  async signalJobs(
    selection: JobSelection,
    signal: string,
    options?: CallOptions,
  ): Promise<JobResults> {
    this.#note("signalJobs", selection, signal, options);
    return this.#onEach(selection, (id) => this.signal(id, signal));
  }

  async removeJobs(selection: JobSelection, options?: RemoveJobsOptions): Promise<JobResults> {
    this.#note("removeJobs", selection, options);
    return this.#onEach(selection, (id) => this.remove(id));
  }

  async cleanup(options?: CleanupOptions): Promise<readonly string[]> {
    this.#note("cleanup", options);
    return ["old1", "old2"];
  }

  async refresh(options?: CallOptions): Promise<readonly Job[]> {
    this.#note("refresh", options);
    return [...this.#jobs.values()].map(({ job }) => job);
  }

  async close(): Promise<void> {}

  async #onEach(
    { ids = [], ...filter }: JobSelection,
    act: (id: string) => Promise<Job | void>,
  ): Promise<JobResults> {
    const matching = [...this.#jobs.values()].filter(({ job }) => isMatch(job, filter));
    const chosen = ids.length > 0 ? ids : matching.map(({ job }) => job.id).toReversed();
    const results: JobResult[] = [];
    for (const id of chosen) {
      try {
        const job = await act(id);
        results.push({ type: "done", id, ...(job && { job }) });
      } catch (error) {
        results.push({ type: "failed", id, error: error as ProcmanError });
      }
    }
    const doneSize = results.filter(({ type }) => type === "done").length;
    return { results, doneSize, failedSize: results.length - doneSize };
  }

  #note(method: string, ...args: unknown[]): void {
    this.calls.push({ method, args });
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #entry(idOrName: string): FakeJob {
    const named = [...this.#jobs.values()].findLast(({ job }) => job.name === idOrName);
    const entry = this.#jobs.get(idOrName) ?? named;
    if (!entry) throw jobNotFound(idOrName);
    return entry;
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#changed.off("change", settle);
        signal?.removeEventListener("abort", settle);
        if (signal?.aborted) reject(signal.reason as Error);
        else resolve();
      };
      if (signal?.aborted) return settle();
      this.#changed.on("change", settle);
      signal?.addEventListener("abort", settle);
    });
  }
}
