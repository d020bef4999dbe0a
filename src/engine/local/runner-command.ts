import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobSpec } from "../../core/job.js";
import type { PreparedCommand } from "../../core/ports.js";
import { processTable } from "./platform.js";
import { quoted } from "./shell-word.js";
import { TERMINAL_FD } from "./terminal.js";

const NOTHING = "/dev/null";

/** Inherited by commands, as from any parent; the runner's own files are private. */
const UMASK = process.umask().toString(8);

/** Where a job runs, and by which shell. */
export interface RunnerPlace {
  /** The job's directory. */
  readonly dir: string;
  /** The directory of the job's cgroup; empty where it has none. */
  readonly cgroup: string;
  /** Runs all of the scripts. */
  readonly shell: string;
}

/** The words that run a job's command under its runner, and that under what else it needs. */
export function runnerCommand(command: PreparedCommand, place: RunnerPlace): string[] {
  const { stdin, pty } = command.spec;
  const words = pty ? inTerminal(command, place) : onFiles(command, place);
  return stdin ? [place.shell, ownScript("input.sh"), place.dir, ...words] : words;
}

/**
 * What the runner is to do right before it executes the command, besides what the
 * environment needs: in a terminal, give it that for its output, and for its
 * input where it has one.
 */
export function runnerScript({ spec, envScript }: PreparedCommand): string {
  if (!spec.pty) return envScript;
  const input = spec.stdin ? `<&${TERMINAL_FD} ` : "";
  const streams = `exec ${input}>&${TERMINAL_FD} 2>&${TERMINAL_FD} ${TERMINAL_FD}>&-`;
  return `${streams}\n${envScript}`;
}

function onFiles({ spec, argv }: PreparedCommand, place: RunnerPlace): string[] {
  const stdout = join(place.dir, "stdout.log");
  const stderr = spec.mergeOutput ? stdout : join(place.dir, "stderr.log");
  return runner([stdinOf(spec, place), stdout, stderr], "exit", argv, place);
}

/**
 * The runner runs in the terminal, and records the end in a file of its own: it
 * is the job's end only when all of the terminal's output has come through.
 */
function inTerminal(command: PreparedCommand, place: RunnerPlace): string[] {
  const { spec, argv, script = "script" } = command;
  const { dir, shell } = place;
  const words = runner([NOTHING, NOTHING, NOTHING], "ended", argv, place);
  const { rows, columns } = spec.windowSize ?? { rows: 0, columns: 0 };
  const line = [
    // script has turned the echo off, since its own input is no terminal.
    `PATH=/bin:/usr/bin:$PATH stty sane iutf8 rows ${rows} columns ${columns}`,
    `exec ${words.map(quoted).join(" ")} ${TERMINAL_FD}<&0 <${NOTHING} >${NOTHING} 2>&1`,
  ].join("\n");
  // util-linux has the one form, the BSDs have the other.
  const scriptWords =
    process.platform === "linux"
      ? [script, "-q", "-c", line, NOTHING]
      : [script, "-q", NOTHING, shell, "-c", line];
  return [shell, ownScript("terminal.sh"), dir, stdinOf(spec, place), ...scriptWords];
}

function runner(
  streams: readonly string[],
  exit: "exit" | "ended",
  argv: readonly string[],
  { dir, cgroup, shell }: RunnerPlace,
): string[] {
  const options = [dir, processTable().bootId(), UMASK, ...streams, cgroup, join(dir, exit)];
  return [shell, ownScript("runner.sh"), ...options, ...argv];
}

function stdinOf({ stdin }: JobSpec, { dir }: RunnerPlace): string {
  return stdin ? join(dir, "stdin.fifo") : NOTHING;
}

function ownScript(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
