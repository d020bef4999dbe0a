import { join, resolve } from "node:path";
import type { Job } from "../../contract/job.js";
import type { JobResult, JobResults, Procman } from "../../contract/procman.js";
import { inParallel } from "../../platform/in-parallel.js";
import { homeDir } from "../../platform/own-dir.js";
import type { Cli, ConnectOptions } from "../cli.js";
import { CliError, EXIT, failureExitCode } from "../exit-codes.js";
import { failureText } from "../failure-text.js";
import { formatJobSummary } from "../format/job-details.js";
import { printable } from "../format/printable.js";
import { type RemoteHost, remoteHostOf } from "../remote-host.js";
import { OutputClosed } from "../terminal/output.js";
import type { resolveJobId } from "./find-jobs.js";
import { jobFinder, type LastOption } from "./job-argument.js";
import type { JsonOption, ServerOptions } from "./options.js";

/** One of several jobs with which something was done. */
export type DoneJob = Extract<JobResult, { type: "done" }>;

export interface ForEachJobOptions {
  readonly resolveId?: typeof resolveJobId;
  /** How many at a time. Default: one after another. */
  readonly concurrency?: number;
}

/** What the commands share: the process they run in, the server they act on, their exit code. */
export class CommandContext {
  readonly cli: Cli;
  exitCode: number = EXIT.ok;
  /** The name of the command that is run. Known once its words are parsed. */
  commandName: string | undefined;
  /** What follows the words that were parsed: more of the last kind of argument. */
  restOfWords: readonly string[] = [];
  /** Which server the command line names. Known once it has been parsed. */
  serverOptions: ServerOptions = {};

  constructor(cli: Cli) {
    this.cli = cli;
  }

  /** Returns all words of the last kind of argument. @param parsed those that were parsed */
  allWords(parsed: readonly string[]): readonly string[] {
    return [...parsed, ...this.restOfWords];
  }

  /** The server that is not that of a state directory of this machine. */
  get host(): RemoteHost | undefined {
    return remoteHostOf(this.serverOptions, this.cli.env);
  }

  /**
   * The absolute path of the state directory.
   * @throws CliError where the command is for another machine
   */
  get stateDir(): string {
    const { host } = this;
    if (host) {
      const message = `"procman ${this.commandName}" acts on this machine, and ${host.source} names ${printable(host.url)}; run it there, or give --state-dir`;
      throw new CliError(message, { exitCode: EXIT.usage });
    }
    return stateDirOf(this.serverOptions.stateDir, this.cli);
  }

  /** The same for commands that are for this machine, whatever PROCMAN_HOST names. */
  get ownStateDir(): string {
    if (this.serverOptions.host) return this.stateDir;
    return stateDirOf(this.serverOptions.stateDir, this.cli);
  }

  /** Whether the state directory is the default one, so not one that may be mistyped. */
  get hasDefaultStateDir(): boolean {
    return !(this.serverOptions.stateDir || this.cli.env["PROCMAN_STATE_DIR"]);
  }

  /** Returns a client of the server, which is to be closed. */
  async connect(options: ConnectOptions = {}): Promise<Procman> {
    const { host } = this;
    return this.cli.connect(host ? { host } : { stateDir: this.stateDir }, options);
  }

  /**
   * Calls `act` with a client of the server, and closes it afterwards.
   * @param options.makesStateDir for commands that start something. A missing directory
   * is an error for others, since its name may be mistyped.
   */
  async withClient(
    act: (client: Procman) => Promise<void>,
    options: ConnectOptions = {},
  ): Promise<void> {
    const client = await this.connect(options);
    try {
      await act(client);
    } finally {
      await client.close();
    }
  }

  /** Does the same for one job. @param given its id, the beginning of it, or its name */
  withJob(
    given: string | undefined,
    last: LastOption,
    act: (client: Procman, id: string) => Promise<void>,
    resolveId?: typeof resolveJobId,
  ): Promise<void> {
    const find = jobFinder(given, last, resolveId);
    return this.withClient(async (client) => act(client, await find(client)));
  }

  /**
   * Does the same for several jobs. One that fails does not keep the others from it; each
   * failure is a line on stderr.
   * @param given what stands for each job
   */
  async forEachJob(
    given: readonly string[],
    last: LastOption,
    act: (client: Procman, id: string) => Promise<void>,
    { resolveId, concurrency = 1 }: ForEachJobOptions = {},
  ): Promise<void> {
    const [only, ...others] = given;
    // The error of a single one speaks for itself, and has an exit code of its own.
    if (others.length === 0) return this.withJob(only, last, act, resolveId);
    const finders = given.map((each) => jobFinder(each, last, resolveId));
    await this.withClient(async (client) => {
      await inParallel(finders, concurrency, async (find) => {
        try {
          await act(client, await find(client));
        } catch (error) {
          await this.reportFailure(error);
        }
      });
    });
  }

  /**
   * Does something with all jobs that are selected, by one call, and prints what has become
   * of each.
   */
  async withSelection(
    act: (client: Procman) => Promise<JobResults>,
    print: (result: DoneJob) => Promise<void>,
  ): Promise<void> {
    const { stderr } = this.cli;
    await this.withClient(async (client) => {
      const { results, doneSize, failedSize } = await act(client);
      for (const result of results) {
        if (result.type === "done") await print(result);
        else await this.reportFailure(result.error);
      }
      const untold = doneSize + failedSize - results.length;
      if (untold > 0) await stderr.line(`procman: and ${untold} more`);
      if (failedSize > 0) this.exitCode = EXIT.error;
      if (doneSize + failedSize === 0) await stderr.line("procman: there are no such jobs");
    });
  }

  /** Says on stderr what failed with one job of several. @throws what ends the command */
  async reportFailure(error: unknown): Promise<void> {
    if (!(error instanceof Error) || error instanceof OutputClosed) throw error;
    await this.cli.stderr.line(`procman: ${failureText(error)}`);
    this.exitCode = failureExitCode(new CliError(error.message), this.commandName);
  }

  /** Prints what was done with one of several jobs. @param done the word for it */
  async printResult({ id, job }: DoneJob, options: JsonOption, done: string): Promise<void> {
    if (job) return this.printJob(job, options);
    // The answer had no room for the job.
    const { idJson } = await import("../../wire/json.js");
    await this.cli.stdout.line(options.json ? idJson(id) : `${printable(id)} ${done}`);
  }

  /** Prints a job: what has become of it in one line, or all of it as JSON. */
  async printJob(job: Job, { json }: JsonOption): Promise<void> {
    const { stdout } = this.cli;
    const { jobJson } = await import("../../wire/json.js");
    await stdout.line(json ? jobJson(job) : formatJobSummary(job, stdout));
  }
}

/** Returns an absolute path: the option's, else the environment's, else the default. */
export function stateDirOf(option: string | undefined, cli: Pick<Cli, "env" | "workDir">): string {
  const given = option || cli.env["PROCMAN_STATE_DIR"];
  if (!given) return defaultStateDir();
  return given.startsWith("/") ? resolve(given) : resolve(cli.workDir(), given);
}

function defaultStateDir(): string {
  const home = homeDir();
  if (home !== undefined) return join(home, ".cache", "procman");
  const message = "this user has no home directory (HOME); give --state-dir or PROCMAN_STATE_DIR";
  throw new CliError(message, { exitCode: EXIT.usage });
}
