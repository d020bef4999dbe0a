import { Command, Option } from "commander";
import { isTerminal, type Job, type SoftLimits } from "../../contract/job.js";
import { IF_RUNNING, type Procman, type StartOptions } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { startAsCaller } from "../caller-attributes.js";
import type { Cli } from "../cli.js";
import { CliError, EXIT, runExitCode } from "../exit-codes.js";
import { copyOutput } from "../terminal/copy-output.js";
import { canInteract, DETACH_SIGNALS, syncWindowSize } from "../terminal/interact.js";
import type { CommandContext } from "./command-context.js";
import { followJob, followWithInput } from "./follow-job.js";
import { DEFAULT_OWN_LEASE_MS, followOwnJob, removeOwnJob } from "./own-job.js";
import { startRequest, type StartRequestOptions } from "./start-request.js";
import { waitAndPrint } from "./wait-and-print.js";
import {
  type DetachKeyOption,
  detachKeyOption,
  type JsonOption,
  parseDurationMs,
  parseKeyValue,
  parseFile,
  parseVariable,
  parseInteger,
  parseJobName,
  parseNonEmpty,
  parsePositiveDurationMs,
  parseOutputSizeBytes,
  parseDecimal,
  parseSizeBytes,
  parseSoftLimit,
  parseUmask,
  parseWholeNumber,
} from "./options.js";

interface RunOptions extends JsonOption, DetachKeyOption, StartRequestOptions {
  readonly detach?: boolean;
  readonly progress: boolean;
  readonly umask?: number;
  readonly nice?: number;
  readonly ulimit?: SoftLimits;
  readonly for?: number;
  readonly maxOutput?: number;
  readonly withMe?: boolean;
  readonly rm?: boolean;
}

const HELP = `
The command runs with this shell's environment, in this directory, and with this
shell's umask, niceness and soft limits. Its environment is saved with the job, in a
file that only you can read.

run shows the output byte by byte. On a terminal it also shows progress, where it finds
some in the output, such as "40%" or "step 3 of 10". It exits as the job did:
"procman --help" lists all codes.

Ctrl-C leaves run, and the job goes on. "procman attach" shows its output again,
and "procman cancel" ends it. While a server is still being started there is no job
yet; the server comes up all the same.

With --host it runs on that machine, in its server's directory and environment: mostly
the home directory of the user there. --work-dir and --env give it others, and nothing
of this shell's goes along unless --env names it.

Input: with -i the job reads the stdin of run, to its end. With -d and -i its input
stays open for "procman send" and "procman attach -i". Without -i it reads nothing.
With -t the job runs in a terminal of its own, so programs draw progress bars; stdout
and stderr are then one stream. With -it your terminal becomes the job's, and Ctrl-]
leaves it.

With --with-me, the job ends with run: by Ctrl-C, when the terminal is closed, and also where
run is killed, then 15 s later, or after --lease. A run that Ctrl-Z stops counts as killed.

With --for, run shows nothing until the job has ended or that time has passed. Then it
prints the output, of a long one the beginning and the end, and exits as the job did, or
with 124 where the job goes on. That suits scripts and agents, which take one answer.

Examples:
  procman run -- make -j8
  procman run --for 60s --max-output 20kB -- npm test
  procman run -d --label team=ml --timeout 12h -- ./train.sh --epochs 10
  procman run --with-me --rm -- npm run dev
  procman run -d --log-limit 100MB -- ./server --verbose
  procman run -t -- pip install numpy
  procman run -it -- bash
  procman run -i -- sort < words.txt
  procman run --pipe -- zip -qr - src > src.zip
  procman run --merge-output -- sh -c 'ls /; ls /nonesuch' | less
  procman run -d --on-end 'mail -s "$PROCMAN_JOB_STATUS" me' -- make world
  procman run -d --name web -- npm run dev               then: procman logs web
  procman run -d --name web --if-running return -- npm run dev
  procman run --request-id deploy-42 -- ./deploy.sh     once, however often it is run`;

export function runCommand(context: CommandContext): Command {
  const { cli } = context;
  return new Command("run")
    .description("start a command and follow its output")
    .argument("<command...>", "the command and its arguments; options of run go before it")
    .passThroughOptions()
    .option("-d, --detach", "start the command, print the id of the job and return")
    .option(
      "-e, --env <name[=value]>",
      "set an environment variable; a name alone takes this shell's value, which then other users " +
        "cannot read on the command line; may be given several times",
      parseVariable,
    )
    .option(
      "--env-file <file>",
      "set the environment variables of a file, with NAME=VALUE or NAME on each line and comments " +
        "after #; --env counts more; may be given several times",
      parseFile,
    )
    .addOption(
      new Option(
        "--clear-env",
        "start with an empty environment; only --env and --env-file set variables",
      ).conflicts("serverEnv"),
    )
    .option(
      "--server-env",
      "use the server's environment, umask, niceness and limits, not this shell's",
    )
    .option(
      "--cwd, --work-dir <dir>",
      "the directory to run in (default: the current one; with --host, the server's)",
      parseNonEmpty,
    )
    .option(
      "-l, --label <key=value>",
      "a label to find the job by; may be given several times",
      parseKeyValue,
    )
    .option(
      "--name <name>",
      "a name for the job, of letters a-z, digits, '.', '_' and '-'; commands take it in place of the " +
        "id. Only one job with a name can run at a time",
      parseJobName,
    )
    .addOption(
      new Option(
        "--if-running <what>",
        "what to do if a job with that name runs: fail (the default), or return: follow that job",
      ).choices(IF_RUNNING),
    )
    .option(
      "--request-id <id>",
      "start the command only once: if a job with this id was started before, follow that one. " +
        "Command, options, directory and environment must be the same (see --server-env). " +
        "With -i, the part of stdin that was sent before is not sent again",
      parseNonEmpty,
    )
    .option("--merge-output", "write stderr to stdout, in the order in which it was written")
    .addOption(
      new Option(
        "--pipe",
        "make stdout and stderr of the command pipes, not files: for commands that open /dev/stdout " +
          "or /dev/stderr, or that seek in their output",
      ).conflicts("tty"),
    )
    .option(
      "--timeout <duration>",
      "end the job after this time; run then exits with 124",
      parsePositiveDurationMs,
    )
    .option(
      "--end-remaining",
      "when the command ends, end the processes that it leaves behind: SIGTERM, and SIGKILL after 5s",
    )
    .option(
      "--lease <duration>",
      'end the job when this time passes and nobody has renewed it: see "procman renew"',
      parsePositiveDurationMs,
    )
    .addOption(
      new Option(
        "--with-me",
        "end the job when this command ends, however that comes; Ctrl-C ends both",
      ).conflicts(["detach", "for"]),
    )
    .addOption(
      new Option(
        "--rm",
        "remove the job and its output once it has ended; where run is left or killed, the job stays",
      ).conflicts("detach"),
    )
    .option(
      "--on-end <command line>",
      "run this by sh -c when the command has ended, however it has: $PROCMAN_JOB_STATUS, _EXIT_CODE, " +
        "_SIGNAL, _ID, _NAME and _DIR tell of it; for 60s at most",
      parseNonEmpty,
    )
    .option("--no-progress", "show no progress on a terminal")
    .option(
      "--log-limit <size>",
      "keep only the last part of stdout and of stderr, of this size each, and free the disk space " +
        "of the rest (default: serve --log-limit; without it everything is kept)",
      parseSizeBytes,
    )
    .option("--umask <mask>", "the permissions that new files do not get, such as 022", parseUmask)
    .option("--nice <niceness>", "from -20, the most favoured, to 19", parseInteger)
    .option(
      "--ulimit <name=limit>",
      "a soft limit of each process by itself, such as nofile=1024, core=unlimited or " +
        "as=4294967296 (bytes, seconds of cpu); may be given several times",
      parseSoftLimit,
    )
    .option(
      "--memory <size>",
      "the memory that all processes of the job may have together, such as 512MB; where they " +
        "need more, one of them is killed and the job fails",
      parseSizeBytes,
    )
    .option(
      "--cpus <number>",
      "how many processors' worth of time the job gets, such as 1.5",
      parseDecimal,
    )
    .option("--pids <number>", "how many processes and threads the job may have", parseWholeNumber)
    .option(
      "--open-files <number>",
      "how many files each process of the job may have open",
      parseWholeNumber,
    )
    .addOption(
      new Option(
        "--for <duration>",
        "wait no longer than this, then print the output so far; the job goes on, and run exits with 124",
      )
        .argParser(parseDurationMs)
        .conflicts(["detach", "stdin", "tty"]),
    )
    .option(
      "--max-output <size>",
      "with --for: print at most this much, up to 256KiB (default: 64KiB)",
      parseOutputSizeBytes,
    )
    .option("-i, --stdin", "send stdin to the job; with -d, keep its input open for later")
    .option("-t, --tty", "run the command in a terminal of its own")
    .addOption(detachKeyOption())
    .option(
      "--json",
      "print JSON: with -d the job, with --for one object with job and output, else an event a line",
    )
    .addHelpText("after", HELP)
    .action((parsed: string[], options: RunOptions) => {
      if (options.maxOutput !== undefined && options.for === undefined) {
        throw new CliError("--max-output goes with --for", { exitCode: EXIT.usage });
      }
      const { withMe = false, rm = false } = options;
      if (options.ifRunning === "return" && (withMe || rm)) {
        const message =
          "--if-running return may find another's job: --with-me and --rm do not go with it";
        throw new CliError(message, { exitCode: EXIT.usage });
      }
      const { host } = context;
      const isRemote = host !== undefined;
      const own = withMe ? { lease: options.lease ?? DEFAULT_OWN_LEASE_MS } : {};
      const asked = { ...options, ...own, isRemote };
      const request = startRequest(context.allWords(parsed), asked, cli);
      const act = async (client: Procman) => {
        // Of this shell's, nothing fits another machine.
        const serverEnv = options.serverEnv || isRemote;
        const start = () => startJob(client, request, { ...options, serverEnv }, cli);
        if (options.detach) {
          const job = await start();
          if (!options.json) return cli.stdout.line(job.id);
          const { jobJson } = await import("../../wire/json.js");
          return cli.stdout.line(jobJson(job));
        }
        const { tty: pty = false, stdin = false } = options;
        const detaches = withMe || canInteract({ pty, stdin }, cli);
        const signals = detaches ? DETACH_SIGNALS : undefined;
        // From before the start, so that Ctrl-C cannot hide which job was started.
        const interruption = cli.interruption(signals);
        const job = await start();
        // Another one that bears the name.
        const isFound = options.ifRunning === "return" && job.requestId !== request.requestId;
        await printDetachKey(job, { ...options, isFound }, cli);
        const follow = { ...options, isFound, interruption };
        const followed = async () => {
          if (options.for !== undefined) {
            return waitAndPrint(context, client, job, { ...follow, waitMs: options.for });
          }
          if (!withMe) return followStarted(context, client, job, follow);
          // What interrupts it ends the job, whose last output is still shown.
          const uninterrupted = { ...follow, interruption: new AbortController().signal };
          return followOwnJob(context, client, job, interruption, () =>
            followStarted(context, client, job, uninterrupted),
          );
        };
        const last = await followed();
        if (last && !(withMe && interruption.aborted)) context.exitCode = runExitCode(last);
        if (last && rm && isTerminal(last)) await removeOwnJob(context, client, last);
      };
      return context.withClient(act, { makesStateDir: true });
    });
}

function startJob(
  client: Procman,
  request: StartOptions,
  { umask, nice, ulimit, serverEnv }: RunOptions,
  cli: Cli,
): Promise<Job> {
  const given = defined({ umask, nice, softLimits: ulimit });
  if (serverEnv) return client.start({ ...request, ...given });
  return startAsCaller(client, request, given, cli);
}

/** The job that is followed, which this command may not have started. */
interface FoundOption {
  readonly isFound: boolean;
}

async function printDetachKey(
  job: Job,
  { detachKey, isFound, withMe }: RunOptions & FoundOption,
  cli: Cli,
): Promise<void> {
  const { stderr } = cli;
  if (!stderr.isTerminal) return;
  const key = canInteract(job, cli) ? detachKey.name : "Ctrl-C";
  const which = `job ${job.id}${isFound ? ", which runs already" : ""}`;
  await stderr.line(
    stderr.paint("dim", `procman: ${which}; ${key} ${withMe ? "ends it" : "detaches"}`),
  );
}

/** @returns the job, unless the user has detached */
async function followStarted(
  context: CommandContext,
  client: Procman,
  job: Job,
  options: RunOptions & FoundOption & { readonly interruption: AbortSignal },
): Promise<Job | undefined> {
  const { json = false, detachKey, isFound, interruption, withMe: endsToo = false } = options;
  const { id, stdin, pty } = job;
  const { cli } = context;
  if (stdin && isFound) {
    // As `attach -i` does: its input is another's, too.
    const input = { json, detachKey, pump: { close: false }, redraw: true, interruption };
    return followWithInput(context, client, job, input);
  }
  if (stdin) {
    // What is read from a file or a pipe is the same where the same run is repeated: the
    // same sender does not send it twice. What is typed is not.
    const sender = cli.stdin.isTerminal ? undefined : "run";
    const pump = { sender, close: true };
    const input = { json, detachKey, pump, redraw: false, interruption, endsToo };
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
