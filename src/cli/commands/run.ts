import { resolve } from "node:path";
import { Command, Option } from "commander";
import type { Procman, StartOptions } from "../../contract/procman.js";
import type { Job } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { CliError } from "../cli-error.js";
import { type CommandContext, withClient } from "./command-context.js";
import { parsePositiveDurationMs } from "./options.js";
import { type DetachKeyOption, detachKeyOption } from "../terminal/detach-key.js";
import {
  copyOutput,
  type Followed,
  sayHowItEnded,
  untilInterrupted,
  type WayBack,
} from "./follow-job.js";
import { followWithInput } from "../terminal/follow-with-input.js";
import { canInteract, followWindow, LEAVE_SIGNALS } from "../terminal/interact.js";
import { jobExitCode } from "../format/job-exit-code.js";
import { jobJson } from "../../wire/json.js";
import { type KeyValues, parseKeyValue } from "../key-value-option.js";
import type { JsonOption } from "../format/print-job.js";
import { parseSizeBytes } from "../size-option.js";
import type { StateDirOption } from "../state-dir.js";

interface RunOptions extends StateDirOption, JsonOption, DetachKeyOption {
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

Ctrl-C detaches: the job goes on, and "procman attach" comes back to it.
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

/** Starts a command, and follows it to its end. */
export function runCommand(context: CommandContext): Command {
  const { cli, exit, stateDirOption } = context;
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
    .action(async (words: string[], options: RunOptions) => {
      const { detach, json = false } = options;
      const request = startRequest(words, options, cli);
      await withClient(context, options.stateDir, async (client) => {
        const { tty: pty = false, stdin = false } = options;
        const signals = canInteract({ pty, stdin }, cli) ? LEAVE_SIGNALS : undefined;
        const interruption = detach ? undefined : cli.interruption(signals);
        const job = await client.start(request);
        if (!interruption) return cli.stdout.line(json ? jobJson(job) : job.id);

        await sayHowToDetach(job, options, cli);
        const way = { id: job.id, stateDirOption: stateDirOption(options.stateDir) };
        const followed = await followStarted(client, job, options, interruption, way, cli);
        if (followed.kind === "detached") return exit(followed.exitCode);
        await sayHowItEnded(followed.job, cli);
        exit(jobExitCode(followed.job));
      });
    });
}

async function sayHowToDetach(job: Job, { detachKey }: RunOptions, cli: Cli): Promise<void> {
  if (!cli.stderr.isTerminal) return;
  const key = canInteract(job, cli) ? detachKey.name : "Ctrl-C";
  await cli.stderr.line(cli.stderr.paint("dim", `procman: job ${job.id}; ${key} detaches`));
}

async function followStarted(
  client: Procman,
  job: Job,
  { json = false, detachKey, ...options }: RunOptions,
  interruption: AbortSignal,
  way: WayBack,
  cli: Cli,
): Promise<Followed> {
  const { id, stdin, pty } = job;
  if (stdin) {
    // What is read from a file or a pipe is the same where the same run is repeated: the
    // same sender does not send it twice. What is typed is not.
    const sender = cli.stdin.isTerminal ? undefined : "run";
    const bytes = { sender, close: true };
    const entry = { json, detachKey, bytes, redraw: false };
    return followWithInput(client, job, entry, interruption, way, cli);
  }
  // In a terminal, the program sees to that itself.
  const progress = options.progress && !pty;
  const stopFollowing = pty ? followWindow(client, id, cli) : () => {};
  const follow = (signal: AbortSignal) =>
    copyOutput(client, id, { follow: true, signal, json, progress }, cli);
  try {
    return await untilInterrupted(follow, interruption, way, cli);
  } finally {
    stopFollowing();
  }
}

function startRequest(words: readonly string[], options: RunOptions, cli: Cli): StartOptions {
  const [command = "", ...args] = words;
  const { requestId, mergeOutput = false, timeout, logLimit, label = {}, tty, stdin } = options;
  const { windowSize } = cli.stdout;
  const workDir = options.workDir?.startsWith("/")
    ? options.workDir
    : resolve(currentDir(cli), options.workDir ?? "");
  return {
    command,
    args,
    ...environment(options, workDir, cli),
    workDir,
    labels: label,
    mergeOutput,
    ...(requestId === undefined ? {} : { requestId }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(logLimit === undefined ? {} : { logLimitBytes: logLimit }),
    ...(tty ? { pty: true, ...(windowSize ? { windowSize } : {}) } : {}),
    ...(stdin ? { stdin: true } : {}),
  };
}

function environment(
  { env = {}, clearEnv, serverEnv }: RunOptions,
  workDir: string,
  cli: Cli,
): Required<Pick<StartOptions, "env" | "clearEnv">> {
  if (serverEnv) return { env, clearEnv: false };
  if (clearEnv) return { env, clearEnv: true };
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(cli.env)) {
    if (value !== undefined && !SHELL_BOOKKEEPING.has(name)) own[name] = value;
  }
  if (own["PWD"] !== undefined) own["PWD"] = workDir;
  return { env: { ...own, ...env }, clearEnv: true };
}

/** What shells set anew, and what would make the same request differ from one shell to the next. */
const SHELL_BOOKKEEPING = new Set(["_", "SHLVL", "OLDPWD"]);

function currentDir(cli: Cli): string {
  try {
    return cli.workDir();
  } catch (cause) {
    throw new CliError("the current directory is gone; give --work-dir", { cause });
  }
}
