import { closeSync, fstatSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import type { OnEnd, OnEndResult } from "../../../contract/job.js";
import type { JobDir } from "../../../core/job-dir.js";
import type { StopKind } from "../../../core/transitions.js";
import { defined } from "../../../platform/defined.js";
import { hasCode } from "../../../platform/errno.js";
import { quoted } from "../../../platform/shell-word.js";
import { READ_ONLY, readSmallFile } from "../../../platform/small-file.js";
import { isAlive, type ProcessRef, processTable } from "../process/processes.js";
import { sendSignal } from "../process/signals.js";
import type { LocalCommand } from "./prepare-command.js";
import { UMASK } from "./runner-command.js";
import type { Identity } from "./runner-records.js";

/*
 * What is run at a job's end. The server writes a script for it, `on-end`, into the job's
 * directory. At the command's end the runner starts that in the background and records
 * who it is; it waits for the exit record, and needs no server and no runner from then on.
 */

/** How much of its output is told. */
const MAX_OUTPUT_BYTES = 4096;

/** Between SIGTERM and SIGKILL, in seconds. */
const GRACE_S = 5;

/** What the runner writes into `ended-by` where its command has ended by itself. */
const ITSELF = "itself";

/** Writes the script. The runner runs it where it is there. */
export function writeOnEnd(dir: JobDir, command: LocalCommand): void {
  const { onEnd } = command.spec;
  if (!onEnd) return;
  writeFileSync(dir.onEnd, onEndScript(command, onEnd), { mode: 0o600, flag: "wx" });
}

/**
 * Decides between a stop and the end of the command by itself: whichever creates the file
 * comes first, and is what is told. Called again, it says the same.
 * @returns false where the command has ended by itself
 */
export function claimStop(dir: JobDir, kind: StopKind): boolean {
  try {
    writeFileSync(dir.endedBy, `${kind}\n`, { mode: 0o600, flag: "wx" });
    return true;
  } catch (error) {
    // A full disk must not prevent the stop, and neither a directory that is gone.
    return !hasCode(error, "EEXIST") || !hasEndedByItself(dir);
  }
}

export function hasEndedByItself(dir: JobDir): boolean {
  try {
    return readSmallFile(dir.endedBy).text === `${ITSELF}\n`;
  } catch {
    return false;
  }
}

/**
 * Reports what became of it.
 * @param isRunnerAlive whether the job's runner may still start it
 * @returns undefined while it is still to be run, or runs
 */
export function readOnEndResult(
  dir: JobDir,
  identity: Identity | undefined,
  isRunnerAlive: boolean,
): OnEndResult | undefined {
  const early = readRecord(dir);
  if (early) return early;
  const ender = enderOf(dir);
  const bootId = identity?.bootId ?? processTable().bootId();
  if (isRunnerAlive || (ender && isAlive(bootId, ender))) return undefined;
  // It may have written its record, and ended, since.
  return readRecord(dir) ?? lostResult(dir);
}

/** Ends it, if it runs. It records that. */
export function endOnEnd(dir: JobDir, { bootId }: Identity): void {
  const ender = enderOf(dir);
  if (ender && isAlive(bootId, ender)) sendSignal(ender.pid, "SIGTERM");
}

function lostResult(dir: JobDir): OnEndResult {
  const startedTime = timeOf(dir.onEndBegun);
  const error = startedTime
    ? "it was killed, or the machine was restarted, before its end was recorded"
    : "it was not run: the job's runner was killed, or the machine was restarted";
  return { error, output: tailOf(dir.onEndLog), ...defined({ startedTime }) };
}

function readRecord(dir: JobDir): OnEndResult | undefined {
  const completedTime = timeOf(dir.onEndEnded);
  if (!completedTime) return undefined;
  const [code, why = ""] = readSmallFile(dir.onEndEnded).text.split("\n");
  return {
    completedTime,
    exitCode: Number(code),
    output: tailOf(dir.onEndLog),
    ...defined({ startedTime: timeOf(dir.onEndBegun), error: why || undefined }),
  };
}

function enderOf(dir: JobDir): ProcessRef | undefined {
  try {
    return processTable().parseIdentity(readSmallFile(dir.onEndRunner).text);
  } catch {
    return undefined;
  }
}

function timeOf(path: string): Date | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtime;
}

/** Returns the end of a file as text, from the beginning of a character on. */
function tailOf(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, READ_ONLY);
  } catch {
    // It has printed nothing yet, or somebody has deleted it.
    return "";
  }
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, MAX_OUTPUT_BYTES));
    const read = readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    let from = 0;
    // Bytes of a character whose beginning is cut off.
    if (size > bytes.length) {
      while (from < 3 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
    }
    return bytes.toString("utf8", from, read);
  } finally {
    closeSync(fd);
  }
}

/**
 * Usage: sh DIR/on-end DIR PATH CODE RECORD RUNNER. DIR is where the job's directory is,
 * PATH where it was when the job was started; RECORD is the name of the exit record, and
 * RUNNER the pid of who writes it. Returns once what it has started is out of the job's
 * session, in which a stop would end it.
 */
function onEndScript(command: LocalCommand, { command: program, args, timeoutMs }: OnEnd): string {
  const { id, name = "", umask = UMASK } = command.spec;
  return `{
procman_tool() { PATH=$PATH:/bin:/usr/bin "$@"; }
procman_session=$(PATH=$PATH:/bin:/usr/bin command -v setsid)
procman_perl=$(PATH=$PATH:/bin:/usr/bin command -v perl)
# Replaces this process, as the leader of a session of its own where there is a way.
procman_detach() {
	[ -z "$procman_session" ] || exec "$procman_session" "$@"
	[ -z "$procman_perl" ] || exec "$procman_perl" -e 'use POSIX; POSIX::setsid(); exec @ARGV or exit 127' "$@"
	exec "$@"
}
procman_dir=$1 procman_path=$2 procman_code=$3 procman_record=$4 procman_runner=$5
umask 077
if [ -z "\${6-}" ]; then
	(procman_detach /bin/sh "$0" "$@" detached) &
	procman_looks=0
	until [ -s "$procman_dir/on-end.runner" ] || [ $((procman_looks += 1)) -gt 100 ]; do
		procman_tool sleep 0.01 || procman_tool sleep 1
	done
	exit
fi
exec </dev/null >/dev/null 2>&1
if [ -r /proc/self/stat ]; then
	read -r procman_me </proc/self/stat
else
	procman_me="$$ $(LC_ALL=C TZ=UTC /bin/ps -o lstart= -p $$)"
fi
# Only one process can create this file: nothing is run twice.
(set -C; printf '%s\n' "$procman_me" >"$procman_dir/on-end.runner") 2>/dev/null || exit
procman_is_ended() {
	read -r procman_line <"$procman_dir/$procman_record" || return
	case $procman_line in
	'' | *[!0-9]*) return 1 ;;
	esac
}
procman_is_alive() {
	[ -r /proc/self/stat ] || { kill -0 "$procman_runner"; return; }
	read -r procman_line <"/proc/$procman_runner/stat" || return
	case \${procman_line##*") "} in
	[ZX]*) return 1 ;;
	esac
}
# Not before the end is on record, and not at all where the runner dies before that.
until procman_is_ended 2>/dev/null; do
	procman_is_alive 2>/dev/null || procman_is_ended 2>/dev/null || exit
	procman_tool sleep 0.02 || procman_tool sleep 1
done
procman_cause=
[ ! -f "$procman_dir/ended-by" ] || read -r procman_cause <"$procman_dir/ended-by"
case $procman_cause:$procman_code in
cancel:*) procman_status=cancelled ;;
${ITSELF}:0) procman_status=completed ;;
*) procman_status=failed ;;
esac
procman_signal=
[ "$procman_code" -le 128 ] || procman_signal=$(kill -l $((procman_code - 128)) 2>/dev/null)
# To all of its group, where it leads one.
procman_send() { kill -s "$1" -- "-$procman_pid" 2>/dev/null || kill -s "$1" "$procman_pid" 2>/dev/null; }
procman_why=
: >"$procman_dir/on-end.begun" || exit
(
	umask ${umask.toString(8)}
	export PROCMAN_JOB_ID=${quoted(id)} PROCMAN_JOB_NAME=${quoted(name)}
	export PROCMAN_JOB_STATUS="$procman_status" PROCMAN_JOB_EXIT_CODE="$procman_code"
	export PROCMAN_JOB_SIGNAL="\${procman_signal:+SIG$procman_signal}" PROCMAN_JOB_DIR="$procman_path"
	set -- ${[program, ...args].map(quoted).join(" ")}
${command.envScript}	procman_detach "$@"
) >>"$procman_dir/on-end.log" 2>&1 7<&- &
procman_pid=$!
trap 'procman_why="it was ended by a removal"; procman_send KILL' TERM
(
	trap 'kill "$procman_timer" 2>/dev/null; exit' TERM
	(PATH=$PATH:/bin:/usr/bin; exec sleep ${seconds(timeoutMs)}) &
	procman_timer=$!
	wait "$procman_timer"
	: >"$procman_dir/on-end.late"
	procman_send TERM
	(PATH=$PATH:/bin:/usr/bin; exec sleep ${GRACE_S}) &
	procman_timer=$!
	wait "$procman_timer"
	procman_send KILL
) &
procman_watcher=$!
wait "$procman_pid"
procman_result=$?
# A signal to this shell ends its wait.
while kill -0 "$procman_pid" 2>/dev/null; do
	wait "$procman_pid"
	procman_result=$?
done
kill "$procman_watcher" 2>/dev/null
[ ! -e "$procman_dir/on-end.late" ] || procman_why="timed out after ${timeoutMs} ms"
# While the disk is full it waits, unless the job is gone.
until printf '%s\n' "$procman_result" "$procman_why" >"$procman_dir/on-end.new"; do
	[ -e "$procman_dir/process" ] || exit
	procman_tool sleep 1
done
procman_tool mv -f "$procman_dir/on-end.new" "$procman_dir/on-end.ended"
exit
}
`;
}

/** In a form that sleep(1) takes, and never 0, which it takes for no time. */
function seconds(ms: number): string {
  return String(Math.max(1, Math.ceil(ms)) / 1000);
}
