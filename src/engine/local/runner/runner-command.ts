import { join } from "node:path";
import type { JobDir } from "../../../core/job-dir.js";
import { defined } from "../../../platform/defined.js";
import { quoted } from "../../../platform/shell-word.js";
import type { LimitedCgroups } from "../containment/cgroup-limits.js";
import { processTable } from "../process/processes.js";
import { TERMINAL_FD } from "../terminal/terminal.js";
import type { LocalCommand } from "./prepare-command.js";

const NULL_DEVICE = "/dev/null";

/** A program and its arguments. */
export type Words = [string, ...string[]];

/** Runs all scripts of a job. */
export const SHELL = "/bin/sh";

/** The umask of this process. The runner itself uses 077. */
export const UMASK = process.umask();

/** Where a job runs, and which shell runs it. */
export interface RunnerPlace {
  readonly dir: JobDir;
  /** The directory of the job's cgroup, or "". */
  readonly cgroup: string;
  /** Runs all of the job's scripts. */
  readonly shell: string;
  /** Where they are. */
  readonly scriptsDir: string;
}

/** Returns the argument vector that runs a command in its runner, terminal and input scripts. */
export function runnerCommand(command: LocalCommand, place: RunnerPlace): Words {
  const { spec, argv, isLong } = command;
  const words = spec.pty
    ? inTerminal(command, place)
    : ([
        ...runner({ ...place, dir: place.dir.path }, stderrOf(command, place), spec.umask),
        ...(isLong ? argv : []),
      ] as Words);
  if (!spec.stdin) return words;
  return [place.shell, join(place.scriptsDir, "input.sh"), place.dir.path, ...words];
}

/** Returns the script that the runner sources right before it executes the command, or "". */
export function runnerScript(command: LocalCommand, cgroups?: LimitedCgroups): string {
  const { spec, argv, envScript, isLong } = command;
  const limitsScript = limitsOf(command, cgroups);
  const lines: string[] = [];
  if (limitsScript !== "") lines.push(`procman_limits=${quoted(limitsScript)}`);
  if (spec.pty) {
    const input = spec.stdin ? `<&${TERMINAL_FD} ` : "";
    lines.push('read -r procman_recorder <"$procman_dir/recorder"');
    lines.push(`exec ${input}>&${TERMINAL_FD} 2>&${TERMINAL_FD} ${TERMINAL_FD}>&-`);
  } else if (spec.stdin) {
    lines.push('exec <"$procman_dir/stdin.fifo" 9>&-');
  }
  if (!isLong) lines.push(setWords(argv));
  return lines.map((line) => `${line}\n`).join("") + envScript;
}

/**
 * Returns the argument vector of a runner that waits to be told of its job.
 * @param cgroup the directory of the cgroup that it waits in, or ""
 */
export function waitingRunner(shell: string, scriptsDir: string, cgroup: string): Words {
  return runner({ dir: "", cgroup, shell, scriptsDir }, "");
}

/**
 * Returns what a waiting runner is told. Cut short, it is no command of the shell's, and
 * the runner ends.
 * @param adjust shell commands that give the runner the directory and the environment
 * that it was not started with
 */
export function runnerInstructions(
  command: LocalCommand,
  place: Pick<RunnerPlace, "dir"> & { readonly cgroups?: LimitedCgroups },
  adjust: string,
): string {
  const { umask } = command.spec;
  const variables = {
    procman_dir: place.dir.path,
    procman_stderr: stderrOf(command, place),
    procman_limits: limitsOf(command, place.cgroups),
    // Entered by the command alone, since the runner has not waited in it.
    ...defined({ procman_cgroup: place.cgroups?.cgroup, procman_mask: umask?.toString(8) }),
  };
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}`);
  const lines = ["{", assignments.join(" "), `${adjust}${setWords(command.argv)}`];
  return `${lines.join("\n")}\n${command.envScript}}\n`;
}

/**
 * Returns shell commands that put the command under its limits, or "". The last ones are
 * those by which the shell may become unable to do anything but to execute it.
 */
function limitsOf({ limitsScript }: LocalCommand, cgroups?: LimitedCgroups): string {
  const { isNeeded = false, bounds = [] } = cgroups ?? {};
  // The shell has been told not to write to files that are there.
  const enter = bounds.map((dir) => `echo 0 >|${quoted(join(dir, "cgroup.procs"))}`);
  // The runner forgets a cgroup that it could not enter.
  const parts = [isNeeded ? '[ -n "$procman_cgroup" ]' : "", ...enter, limitsScript];
  return parts.filter((part) => part !== "").join(" && ");
}

/** As arguments of the runner's, every user could see them for as long as the job runs. */
function setWords(argv: readonly string[]): string {
  return `set -- ${argv.map(quoted).join(" ")}`;
}

/** A FIFO tells the runner that both streams are to be pipes. */
function stderrOf({ spec }: LocalCommand, { dir }: Pick<RunnerPlace, "dir">): string {
  const stream = spec.mergeOutput ? "stdout" : "stderr";
  return spec.output === "pipe" ? dir.fifo(stream) : dir.log(stream);
}

/**
 * Runs the runner in a terminal. It records the exit in a file of its own, since the
 * job has ended only when all of the terminal's output is in the log.
 */
function inTerminal({ spec, script = "script" }: LocalCommand, place: RunnerPlace): Words {
  const { dir, shell, scriptsDir } = place;
  const { rows, columns } = spec.windowSize ?? { rows: 0, columns: 0 };
  const words = runner({ ...place, dir: dir.path }, NULL_DEVICE, spec.umask)
    .map(quoted)
    .join(" ");
  const line = [
    // script(1) has turned the echo off, since its own input is no terminal.
    `PATH=/bin:/usr/bin:$PATH stty sane iutf8 rows ${rows} columns ${columns}`,
    `exec ${words} ${TERMINAL_FD}<&0 <${NULL_DEVICE} >${NULL_DEVICE} 2>&1`,
  ].join("\n");
  // util-linux has one form, the BSDs have another.
  const scriptWords =
    process.platform === "linux"
      ? [script, "-q", "-c", line, NULL_DEVICE]
      : [script, "-q", NULL_DEVICE, shell, "-c", line];
  const stdin = spec.stdin ? dir.inputFifo : NULL_DEVICE;
  return [shell, join(scriptsDir, "terminal.sh"), dir.path, stdin, ...scriptWords];
}

function runner(
  { dir, cgroup, shell, scriptsDir }: Omit<RunnerPlace, "dir"> & { readonly dir: string },
  stderr: string,
  umask = UMASK,
): Words {
  const script = join(scriptsDir, "runner.sh");
  return [shell, script, dir, processTable().bootId(), umask.toString(8), stderr, cgroup];
}
