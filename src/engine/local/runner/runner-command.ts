import { fileURLToPath } from "node:url";
import type { JobDir } from "../../../core/job-dir.js";
import { quoted } from "../../../platform/shell-word.js";
import { processTable } from "../process/processes.js";
import { TERMINAL_FD } from "../terminal/terminal.js";
import type { LocalCommand } from "./prepare-command.js";

const NULL_DEVICE = "/dev/null";

/** The umask for commands, which they inherit from the server. The runner itself uses 077. */
const UMASK = process.umask().toString(8);

/** Where a job runs, and which shell runs it. */
export interface RunnerPlace {
  readonly dir: JobDir;
  /** The directory of the job's cgroup, or "". */
  readonly cgroup: string;
  /** Runs all of the job's scripts. */
  readonly shell: string;
}

/** Returns the argument vector that runs a command in its runner, terminal and input scripts. */
export function runnerCommand(command: LocalCommand, place: RunnerPlace): string[] {
  const { spec, argv } = command;
  const stderr = place.dir.log(spec.mergeOutput ? "stdout" : "stderr");
  const words = spec.pty ? inTerminal(command, place) : [...runner(stderr, place), ...argv];
  return spec.stdin ? [place.shell, scriptPath("input.sh"), place.dir.path, ...words] : words;
}

/** Returns the script that the runner sources right before it executes the command, or "". */
export function runnerScript({ spec, argv, envScript }: LocalCommand): string {
  if (spec.pty) {
    const input = spec.stdin ? `<&${TERMINAL_FD} ` : "";
    const lines = [
      'read -r procman_recorder <"$procman_dir/recorder"',
      `exec ${input}>&${TERMINAL_FD} 2>&${TERMINAL_FD} ${TERMINAL_FD}>&-`,
      // Not passed through script(1): it takes a single word, at most 128 KiB long.
      `set -- ${argv.map(quoted).join(" ")}`,
    ];
    return `${lines.join("\n")}\n${envScript}`;
  }
  return spec.stdin ? `exec <"$procman_dir/stdin.fifo" 9>&-\n${envScript}` : envScript;
}

/**
 * Runs the runner in a terminal. It records the exit in a file of its own, since the
 * job has ended only when all of the terminal's output is in the log.
 */
function inTerminal({ spec, script = "script" }: LocalCommand, place: RunnerPlace): string[] {
  const { dir, shell } = place;
  const { rows, columns } = spec.windowSize ?? { rows: 0, columns: 0 };
  const words = runner(NULL_DEVICE, place).map(quoted).join(" ");
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
  return [shell, scriptPath("terminal.sh"), dir.path, stdin, ...scriptWords];
}

function runner(stderr: string, { dir, cgroup, shell }: RunnerPlace): string[] {
  return [shell, scriptPath("runner.sh"), dir.path, processTable().bootId(), UMASK, stderr, cgroup];
}

function scriptPath(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}
