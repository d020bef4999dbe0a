import { resolve } from "node:path";
import { Command, Option } from "commander";
import type { Job } from "../../contract/job.js";
import type { Procman, StartOptions } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { jobJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { checkVariables, checkWorkDir } from "../command-line-bytes.js";
import { CliError, runExitCode } from "../exit-codes.js";
import { copyOutput } from "../terminal/copy-output.js";
import { canInteract, DETACH_SIGNALS, syncWindowSize } from "../terminal/interact.js";
import type { CommandContext } from "./command-context.js";
import { followJob, followWithInput } from "./follow-job.js";
import {
  type DetachKeyOption,
  detachKeyOption,
  type JsonOption,
  type KeyValues,
  parseKeyValue,
  parsePositiveDurationMs,
  parseSizeBytes,
} from "./options.js";

interface RunOptions extends JsonOption, DetachKeyOption {
  readonly detach?: boolean;
  readonly env?: KeyValues;
  readonly clearEnv?: boolean;
  readonly serverEnv?: boolean;
  readonly workDir?: string;
  readonly label?: KeyValues;
  readonly requestId?: string;
  readonly mergeOutput?: boolean;
  readonly timeout?: number;
  readonly progress: boolean;
  readonly logLimit?: number;
  readonly stdin?: boolean;
  readonly tty?: boolean;
}

const HELP = `
The command gets this shell's environment and directory. Its environment is kept
with the job, in a file that only you can read.

Output comes byte by byte. On a terminal, the progress that its lines tell of is
shown below it, until the next output; what draws its own is left alone.

Ctrl-C detaches: the job goes on, and "procman attach" comes back to it. While a
server is still being started there is no job yet; the server comes up all the same.
run exits as the job did; see "procman --help" for its other exit codes.

With -i the job reads what run reads from stdin, to its end; repeated with the same
--request-id and the same stdin, it goes on where it was. With -d its input stays open for
"procman send" and "procman attach -i". With -t it runs in a terminal of its own, so
that programs draw their bars; stdout and stderr are one then. -it makes this
terminal the job's, and Ctrl-] detaches.

Examples:
  procman run -- make -j8
  procman run -d --label team=ml --timeout 12h -- ./train.sh --epochs 10
  procman run -d --log-limit 100MB -- ./server --verbose
  procman run -t -- pip install numpy
  procman run -it -- bash
  procman run -i -- sort < words.txt
  procman run --merge-output -- sh -c 'ls /; ls /nonesuch' | less
  procman run --request-id deploy-42 -- ./deploy.sh     once, however often it is run`;

export function runCommand(context: CommandContext): Command {
  const { cli } = context;
  return new Command("run")
    .description("start a command and follow its output")
    .argument("<command...>", "the command and its arguments; options of run come before it")
    .passThroughOptions()
    .option("-d, --detach", "only start it, and print its id")
    .option("-e, --env <key=value>", "set an environment variable (repeatable)", parseKeyValue)
    .addOption(new Option("--clear-env", "an environment of --env only").conflicts("serverEnv"))
    .option("--server-env", "the server's environment, instead of this shell's")
    .option("--cwd, --work-dir <dir>", "directory to run in (default: this one)")
    .option("-l, --label <key=value>", "label to find the job by (repeatable)", parseKeyValue)
    .option(
      "--request-id <id>",
      "do nothing but follow the first job if this id was used before, for the same command with " +
        "the same options, directory and environment (see --server-env)",
    )
    .option("--merge-output", "send stderr to stdout, in the order written")
    .option("--timeout <duration>", "end the job after this long", parsePositiveDurationMs)
    .option("--no-progress", "do not show progress on a terminal")
    .option(
      "--log-limit <size>",
      "keep so much of the end of stdout and of stderr, and give back the disk space of the rest " +
        "(default: the server's, which is none unless serve was told one)",
      parseSizeBytes,
    )
    .option("-i, --stdin", "send stdin to the job; with -d, only keep its input open")
    .option("-t, --tty", "run it in a terminal of its own")
    .addOption(detachKeyOption())
    .option("--json", "print the job (with -d), or the events of its output, as JSON lines")
    .addHelpText("after", HELP)
    .action((parsed: string[], options: RunOptions) => {
      const request = startRequest([...parsed, ...context.restOfWords], options, cli);
      const act = async (client: Procman) => {
        if (options.detach) {
          const job = await client.start(request);
          return cli.stdout.line(options.json ? jobJson(job) : job.id);
        }
        const { tty: pty = false, stdin = false } = options;
        const signals = canInteract({ pty, stdin }, cli) ? DETACH_SIGNALS : undefined;
        // From before the start, so that Ctrl-C cannot hide which job was started.
        const interruption = cli.interruption(signals);
        const job = await client.start(request);
        await printDetachKey(job, options, cli);
        const ended = await followStarted(context, client, job, options, interruption);
        if (ended) context.exitCode = runExitCode(ended);
      };
      return context.withClient(act, { makesStateDir: true });
    });
}

async function printDetachKey(job: Job, { detachKey }: RunOptions, cli: Cli): Promise<void> {
  const { stderr } = cli;
  if (!stderr.isTerminal) return;
  const key = canInteract(job, cli) ? detachKey.name : "Ctrl-C";
  await stderr.line(stderr.paint("dim", `procman: job ${job.id}; ${key} detaches`));
}

/** @returns the job, unless the user has detached */
async function followStarted(
  context: CommandContext,
  client: Procman,
  job: Job,
  { json = false, detachKey, ...options }: RunOptions,
  interruption: AbortSignal,
): Promise<Job | undefined> {
  const { id, stdin, pty } = job;
  const { cli } = context;
  if (stdin) {
    // What is read from a file or a pipe is the same where the same run is repeated: the
    // same sender does not send it twice. What is typed is not.
    const sender = cli.stdin.isTerminal ? undefined : "run";
    const pump = { sender, close: true };
    const input = { json, detachKey, pump, redraw: false, interruption };
    return followWithInput(context, client, job, input);
  }
  // In a terminal of its own the program shows its progress itself.
  const progress = options.progress && !pty;
  const stopSyncing = pty ? syncWindowSize(client, id, cli) : () => {};
  try {
    return await followJob(context, { id, interruption }, (signal) =>
      copyOutput(client, id, { follow: true, signal, json, progress }, cli),
    );
  } finally {
    stopSyncing();
  }
}

function startRequest(words: readonly string[], options: RunOptions, cli: Cli): StartOptions {
  const [command = "", ...args] = words;
  const { requestId, mergeOutput = false, label = {}, tty, stdin } = options;
  const workDir = options.workDir?.startsWith("/")
    ? options.workDir
    : resolve(currentDir(cli), options.workDir ?? "");
  const given = environment(options, workDir, cli);
  checkVariables(given.env, cli.env, cli.raw);
  return {
    command,
    args,
    ...given,
    workDir,
    labels: label,
    mergeOutput,
    ...defined({
      requestId,
      timeoutMs: options.timeout,
      logLimitBytes: options.logLimit,
      pty: tty,
      windowSize: tty ? cli.stdout.windowSize : undefined,
      stdin,
    }),
  };
}

function environment(
  { env = {}, clearEnv, serverEnv }: RunOptions,
  workDir: string,
  cli: Cli,
): Required<Pick<StartOptions, "env" | "clearEnv">> {
  if (serverEnv) return { env, clearEnv: false };
  if (clearEnv) return { env, clearEnv: true };
  // Not by assignment, to which the name __proto__ would mean something else.
  const own: Record<string, string> = Object.fromEntries(
    Object.entries(cli.env).flatMap(([name, value]) =>
      value === undefined || SHELL_BOOKKEEPING.has(name) ? [] : [[name, value]],
    ),
  );
  if (own["PWD"] !== undefined) own["PWD"] = workDir;
  return { env: { ...own, ...env }, clearEnv: true };
}

/** What each shell sets anew: with it, the same request would differ from shell to shell. */
const SHELL_BOOKKEEPING = new Set(["_", "SHLVL", "OLDPWD"]);

function currentDir(cli: Cli): string {
  let workDir: string;
  try {
    workDir = cli.workDir();
  } catch (cause) {
    throw new CliError("the current directory is gone; give --work-dir", { cause });
  }
  checkWorkDir(workDir, cli.raw);
  return workDir;
}
