import { fileURLToPath } from "node:url";
import type { JobDir } from "../../../core/job-dir.js";
import { processTable } from "../process/processes.js";
import type { LocalCommand } from "./prepare-command.js";
import { quoted } from "../../../platform/shell-word.js";
import { TERMINAL_FD } from "../terminal/terminal.js";

const NOTHING = "/dev/null";

/** Inherited by commands, as from any parent; the runner's own files are private. */
const UMASK = process.umask().toString(8);

/** Where a job runs, and by which shell. */
export interface RunnerPlace {
  readonly dir: JobDir;
  /** The directory of the job's cgroup; empty where it has none. */
  readonly cgroup: string;
  /** Runs all of the scripts. */
  readonly shell: string;
}

/** The words that run a job's command under its runner, and that under what else it needs. */
export function runnerCommand(command: LocalCommand, place: RunnerPlace): string[] {
  const { spec, argv } = command;
  const stderr = place.dir.log(spec.mergeOutput ? "stdout" : "stderr");
  const words = spec.pty ? inTerminal(command, place) : [...runner(stderr, place), ...argv];
  return spec.stdin ? [place.shell, ownScript("input.sh"), place.dir.path, ...words] : words;
}

/** What the runner is to do right before it executes the command; empty for nothing. */
export function runnerScript({ spec, argv, envScript }: LocalCommand): string {
  if (spec.pty) {
    const input = spec.stdin ? `<&${TERMINAL_FD} ` : "";
    const lines = [
      'read -r procman_recorder <"$procman_dir/recorder"',
      `exec ${input}>&${TERMINAL_FD} 2>&${TERMINAL_FD} ${TERMINAL_FD}>&-`,
      // Not among script's words: it takes one, which the kernel allows 128 KiB.
      `set -- ${argv.map(quoted).join(" ")}`,
    ];
    return `${lines.join("\n")}\n${envScript}`;
  }
  return spec.stdin ? `exec <"$procman_dir/stdin.fifo" 9>&-\n${envScript}` : envScript;
}

/**
 * The runner runs in the terminal, and records the end in a file of its own: it
 * is the job's end only when all of the terminal's output has come through.
 */
function inTerminal({ spec, script = "script" }: LocalCommand, place: RunnerPlace): string[] {
  const { dir, shell } = place;
  const { rows, columns } = spec.windowSize ?? { rows: 0, columns: 0 };
  const words = runner(NOTHING, place).map(quoted).join(" ");
  const line = [
    // script has turned the echo off, since its own input is no terminal.
    `PATH=/bin:/usr/bin:$PATH stty sane iutf8 rows ${rows} columns ${columns}`,
    `exec ${words} ${TERMINAL_FD}<&0 <${NOTHING} >${NOTHING} 2>&1`,
  ].join("\n");
  // util-linux has the one form, the BSDs have the other.
  const scriptWords =
    process.platform === "linux"
      ? [script, "-q", "-c", line, NOTHING]
      : [script, "-q", NOTHING, shell, "-c", line];
  const stdin = spec.stdin ? dir.inputFifo : NOTHING;
  return [shell, ownScript("terminal.sh"), dir.path, stdin, ...scriptWords];
}

function runner(stderr: string, { dir, cgroup, shell }: RunnerPlace): string[] {
  return [shell, ownScript("runner.sh"), dir.path, processTable().bootId(), UMASK, stderr, cgroup];
}

function ownScript(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}
