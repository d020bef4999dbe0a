import { join, resolve } from "node:path";
import type { Job } from "../../contract/job.js";
import type { Procman } from "../../contract/procman.js";
import { homeDir } from "../../platform/own-dir.js";
import type { Cli, ConnectOptions } from "../cli.js";
import { CliError, EXIT } from "../exit-codes.js";
import { failureText } from "../failure-text.js";
import { formatJobSummary } from "../format/job-details.js";
import { OutputClosed } from "../terminal/output.js";
import type { resolveJobId } from "./find-jobs.js";
import { jobFinder, type LastOption } from "./job-argument.js";
import type { JsonOption } from "./options.js";

/** What the commands share: the process they run in, the server they act on, their exit code. */
export class CommandContext {
  readonly cli: Cli;
  exitCode: number = EXIT.ok;
  /** The name of the command that is run. Known once its words are parsed. */
  commandName: string | undefined;
  /** What follows the words that were parsed: more of the last kind of argument. */
  restOfWords: readonly string[] = [];
  /** The state directory as the command line gives it. Known once it has been parsed. */
  stateDirOption: string | undefined;

  constructor(cli: Cli) {
    this.cli = cli;
  }

  /** Returns all words of the last kind of argument. @param parsed those that were parsed */
  allWords(parsed: readonly string[]): readonly string[] {
    return [...parsed, ...this.restOfWords];
  }

  /** The absolute path of the state directory. */
  get stateDir(): string {
    return stateDirOf(this.stateDirOption, this.cli);
  }

  /** Whether the state directory is the default one, so not one that may be mistyped. */
  get hasDefaultStateDir(): boolean {
    return !(this.stateDirOption || this.cli.env["PROCMAN_STATE_DIR"]);
  }

  /**
   * Calls `act` with a client of the state directory's server, and closes it afterwards.
   * @param options.makesStateDir for commands that start something. A missing directory
   * is an error for others, since its name may be mistyped.
   */
  async withClient(
    act: (client: Procman) => Promise<void>,
    options: ConnectOptions = {},
  ): Promise<void> {
    const client = await this.cli.connect(this.stateDir, options);
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
   * Does the same for several jobs, one after another. One that fails does not keep
   * the others from it; each failure is a line on stderr.
   * @param given what stands for each job
   */
  async forEachJob(
    given: readonly string[],
    last: LastOption,
    act: (client: Procman, id: string) => Promise<void>,
    resolveId?: typeof resolveJobId,
  ): Promise<void> {
    const [only, ...others] = given;
    // The error of a single one speaks for itself, and has an exit code of its own.
    if (others.length === 0) return this.withJob(only, last, act, resolveId);
    const finders = given.map((each) => jobFinder(each, last, resolveId));
    await this.withClient(async (client) => {
      for (const find of finders) {
        try {
          await act(client, await find(client));
        } catch (error) {
          if (!(error instanceof Error) || error instanceof OutputClosed) throw error;
          await this.cli.stderr.line(`procman: ${failureText(error)}`);
          this.exitCode = EXIT.error;
        }
      }
    });
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
