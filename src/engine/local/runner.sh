#!/bin/sh
# The parent of one job's command. It records how the command ends, whether or not a
# server is alive. Usage: runner.sh DIR BOOT_ID UMASK STDERR_LOG CGROUP [COMMAND...]
# These arguments never change: during an upgrade, a server that still runs starts its
# next jobs with the new version of this file. Anything else is passed in DIR/env, which
# also sets the command where these words have none: every user can see them.
#
# Without DIR, it waits for its job: it is told all of that on its standard input, and
# ends where nobody is left to tell it. With CGROUP it waits in there: to enter one may
# take the kernel 20 ms, and the command is born in it. A stop moves the runner out.
#
# The script is one compound command. A shell reads that completely before it runs any
# of it, so the file may be replaced (an upgrade) while jobs run. The server keeps
# variables of the names used here out of the runner's environment, which the command
# inherits.
{
procman_dir=$1 procman_boot=$2 procman_mask=$3 procman_stderr=$4 procman_cgroup=$5
shift 5
procman_recorder= procman_limits= procman_redirect= procman_carriers= procman_drain=
umask 077
procman_newline='
'
# Caught, not ignored: the runner survives a signal to its group, and the command gets
# the default handling back.
trap : HUP INT QUIT TERM USR1 USR2 ALRM

. "${0%/*}/identify.sh"

# Enters the cgroup, and forgets it where that is not possible.
procman_enter() {
	[ -z "$procman_cgroup" ] || echo 0 2>/dev/null >"$procman_cgroup/cgroup.procs" || procman_cgroup=
}
# Leaves a cgroup.
procman_leave() {
	{ echo 0 >"$1/../cgroup.procs" || echo 0 >"$1/../procman-server/cgroup.procs"; } 2>/dev/null
}
# Ends a runner without a job. Nobody else may know of the cgroup.
procman_give_up() {
	[ -n "$procman_cgroup" ] || exit 1
	procman_leave "$procman_cgroup"
	PATH=$PATH:/bin:/usr/bin
	exec rmdir "$procman_cgroup"
}

procman_identify
procman_runner=$procman_me
if [ -z "$procman_dir" ]; then
	procman_is_told=1
	procman_waited_in=$procman_cgroup
	procman_enter
	. /dev/stdin
	[ -n "$procman_dir" ] || procman_give_up
	exec </dev/null
else
	procman_is_told= procman_waited_in=
fi
# Open until the end, so that the directory is found again wherever it was moved.
exec 7<"$procman_dir" || exit
# The command's streams are files, or pipes where STDERR_LOG names one.
case $procman_stderr in
*.fifo) . "${0%/*}/pipe.sh" ;;
esac
# In the foreground: the signals above do not interrupt a shell that waits for that.
(
	procman_identify
	[ -n "$procman_waited_in" ] || procman_enter
	# Puts env(1) before the command, for variables that a shell cannot pass on, and
	# redirects the standard streams where the defaults below do not fit.
	[ -n "$procman_is_told" ] || [ ! -e "$procman_dir/env" ] || . "$procman_dir/env"
	# Only one process can create this file: the runner, or a server that abandons the job.
	set -C
	printf '%s\n' "$procman_boot" "$procman_runner" "$procman_me" "cgroup $procman_cgroup" \
		${procman_recorder:+"recorder $procman_recorder"} ${procman_carriers:+"$procman_carriers"} \
		>"$procman_dir/process" || exit 125
	umask "$procman_mask"
	$procman_redirect
	eval "$procman_limits" || exit 126
	exec "$@"
) </dev/null >>"$procman_dir/stdout.log" 2>>"$procman_stderr" 7<&-
procman_code=$?

# Sets $procman_at to where the job's directory is now: on Linux by the descriptor; else,
# or where that was deleted and restored, by its path.
procman_find() {
	procman_at=/proc/self/fd/7
	# The child has made the record, where it does not say that it could not.
	[ "$procman_code" = 125 ] || [ ! -e "$procman_at/process" ] || return 0
	for procman_at in /proc/self/fd/7 "$procman_dir"; do
		procman_owner=
		# The job can have made anything of its files: a pipe would block this shell.
		[ ! -f "$procman_at/process" ] || procman_owner=$(procman_head "$procman_at/process")
		[ "${procman_owner%%"$procman_newline"*}" != "$procman_boot" ] || return 0
	done
	return 1
}
# Reads one block only: a file may be a hole of many gigabytes, and `read` goes through it
# byte by byte.
procman_head() {
	PATH=$PATH:/bin:/usr/bin dd bs=4096 count=1 <"$1" 2>/dev/null
}
# Waits while the directory is away. Ends the runner where there is nothing to wait for.
procman_await() {
	until procman_find; do
		# The directory is there, and the job's record is not: deleted, or given up.
		[ ! -e /proc/self/fd/7/. ] || procman_give_up
		# It may not be entered now. Where not even that is known, it may be gone for good.
		[ -e /proc/self/fd/7 ] || [ $((procman_turns += 1)) -le 60 ] || procman_give_up
		procman_pause
	done
}
procman_pause() {
	PATH=$PATH:/bin:/usr/bin sleep 1 || exit 1
}
procman_turns=0
procman_await

# Where the command could not be executed, its log holds only an error of this shell's.
case $procman_code in
126 | 127)
	$procman_drain
	[ "$procman_stderr" = /dev/null ] || procman_stderr=$procman_at/${procman_stderr##*/}
	procman_why=$(procman_head "$procman_stderr")
	case $procman_why in
	"$0:"*)
		: >"$procman_stderr"
		procman_why=${procman_why%%"$procman_newline"*}
		[ ! -f "$procman_at/process" ] ||
			printf 'not executed%s\n' "${procman_why#"$0"}" >>"$procman_at/process"
		;;
	esac
	;;
esac

# With a terminal, terminal.sh copies the record to DIR/exit after the last output.
procman_exit=exit
[ ! -e "$procman_at/recorder" ] || procman_exit=ended
# Starts what the job is to run at its end, which waits for the record. It is told how the
# command ended: by itself, unless a server that stops it has made this file first.
if [ -f "$procman_at/on-end" ]; then
	(set -C; echo itself >"$procman_at/ended-by") 2>/dev/null
	# Nothing of it may be in the job's cgroup.
	[ -z "$procman_waited_in" ] || procman_leave "$procman_waited_in"
	procman_tries=0
	# A stop that is under way may end it before it is out of this session.
	until [ -s "$procman_at/on-end.runner" ] || [ $((procman_tries += 1)) -gt 20 ]; do
		(
			trap '' HUP
			exec /bin/sh "$procman_at/on-end" "$procman_at" "$procman_dir" "$procman_code" "$procman_exit" $$
		) </dev/null >/dev/null 2>&1 3>&- 4>&- 5<&- 6<&- 8>&- 9>&-
	done
fi
# `times` prints, so its lines are read back from a file: the short one that is written
# next, since the shell reads byte by byte. What it holds until then is no exit record.
# All is written over what the file has, which needs no room on a full disk.
# In braces: a shell would end where it cannot open the file of a special builtin.
if [ ! -p "$procman_at/$procman_exit" ]; then
	{ times; } 1<>"$procman_at/$procman_exit"
	{ read -r procman_self; read -r procman_kids; } <"$procman_at/$procman_exit"
fi
$procman_drain
# Retries while the disk is full, unless the job's directory is gone.
until [ ! -p "$procman_at/$procman_exit" ] &&
	printf '%s\n' "$procman_code" "$procman_self" "$procman_kids" 1<>"$procman_at/$procman_exit"; do
	procman_pause
	procman_await
done
exit 0
}
