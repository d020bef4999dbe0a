import { Code, type ConnectError } from "@connectrpc/connect";
import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  type Metric,
  Registry,
} from "prom-client";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { STATUSES, type TerminalState } from "../../contract/job.js";
import type { JobObserver } from "../../core/ports.js";
import { watchEventLoopDelay } from "./event-loop-delay.js";
import type { Metrics, ObservedProcman, Scraped } from "./metrics.js";

interface Call {
  readonly method: string;
  readonly isStream: boolean;
  readonly seconds: number;
  readonly error: ConnectError | undefined;
}

const CALL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const JOB_SECONDS = [
  0.1,
  1,
  10,
  60,
  300,
  1800,
  3600,
  4 * 3600,
  12 * 3600,
  24 * 3600,
  7 * 24 * 3600,
];
const DELAY_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const INTERVALS = ["min", "max", "mean", "stddev", "p50", "p90", "p99"];

/**
 * The metrics, and how Prometheus reads them. Labels have few values: never an id, a name or
 * a client's address.
 */
export class Prometheus implements JobObserver {
  readonly #registry = new Registry();
  readonly #starts: Counter;
  readonly #ends: Counter;
  readonly #runSeconds: Histogram;
  readonly #callSeconds: Histogram;
  readonly #streams: Counter;
  readonly #errors: Counter;
  /** Ends what goes on between scrapes. */
  readonly close: () => void;

  constructor(metrics: Metrics, procman: ObservedProcman) {
    const registers = [this.#registry];
    const ends = ["status"];
    this.#starts = new Counter({
      name: "procman_jobs_started_total",
      help: "Jobs that were started.",
      registers,
    });
    this.#ends = new Counter({
      name: "procman_jobs_ended_total",
      help: "Jobs that have ended, by the status they ended with.",
      labelNames: ends,
      registers,
    });
    this.#runSeconds = new Histogram({
      name: "procman_job_duration_seconds",
      help: "How long jobs ran that have ended, where that is known.",
      labelNames: ends,
      buckets: JOB_SECONDS,
      registers,
    });
    this.#callSeconds = new Histogram({
      name: "procman_rpc_duration_seconds",
      help: "How long unary calls took, by method and code.",
      labelNames: ["method", "code"],
      buckets: CALL_SECONDS,
      registers,
    });
    this.#streams = new Counter({
      name: "procman_streams_ended_total",
      help: "Streams that are over, by method and code.",
      labelNames: ["method", "code"],
      registers,
    });
    this.#errors = new Counter({
      name: "procman_rpc_errors_total",
      help: "Calls that failed, by method and reason.",
      labelNames: ["method", "reason"],
      registers,
    });
    for (const metric of collectedMetrics(metrics, procman)) this.#registry.registerMetric(metric);
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 1000 });
    // They contain that precision, and a lower one would cost much while nothing goes on.
    for (const name of INTERVALS)
      this.#registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
    const delays = new Histogram({
      name: "procman_event_loop_delay_seconds",
      help: "How late a timer was, twice a second: for so long nothing else had its turn.",
      buckets: DELAY_SECONDS,
      registers,
    });
    this.close = watchEventLoopDelay((seconds) => delays.observe(seconds));
  }

  started(): void {
    this.#starts.inc();
  }

  ended(status: TerminalState["status"], runMs: number | undefined): void {
    this.#ends.inc({ status });
    if (runMs !== undefined) this.#runSeconds.observe({ status }, runMs / 1000);
  }

  called({ method, isStream, seconds, error }: Call): void {
    const code = error ? Code[error.code] : "OK";
    if (isStream) this.#streams.inc({ method, code });
    else this.#callSeconds.observe({ method, code }, seconds);
    if (!error) return;
    const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? code;
    this.#errors.inc({ method, reason });
  }

  async scrape(): Promise<Scraped> {
    const { contentType } = this.#registry;
    return { contentType, text: await this.#registry.metrics() };
  }
}

/** Returns what is looked at when it is asked for. */
function collectedMetrics(metrics: Metrics, procman: ObservedProcman): Metric[] {
  const registers: Registry[] = [];
  return [
    new Gauge({
      name: "procman_jobs",
      help: "Jobs that there are, by status.",
      labelNames: ["status"],
      registers,
      async collect() {
        for (const status of STATUSES) {
          const { totalSize } = await procman.list({ statuses: [status], pageSize: 1 });
          this.set({ status }, totalSize);
        }
      },
    }),
    new Gauge({
      name: "procman_streams_open",
      help: "Streams that are open, by method: Attach and Watch follow a job's output.",
      labelNames: ["method"],
      registers,
      collect() {
        for (const [method, count] of metrics.openStreams) this.set({ method }, count);
      },
    }),
    new Gauge({
      name: "procman_connections",
      help: "Connections that are open, over TCP and the unix socket.",
      registers,
      collect() {
        this.set(metrics.connections());
      },
    }),
    new Counter({
      name: "procman_output_sent_bytes_total",
      help: "Bytes of jobs' output that were sent to clients.",
      registers,
      collect() {
        this.reset();
        this.inc(metrics.sentOutputBytes);
      },
    }),
  ];
}
