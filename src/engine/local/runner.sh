#!/bin/sh
# The parent of one job's command, so that how the command ends is recorded
# whoever else is alive. Usage: runner.sh DIR BOOT_ID UMASK STDERR_LOG CGROUP COMMAND...
# These words stay as they are: a server that runs on while its files are replaced
# (an upgrade) starts its next jobs with this file. What else there is to be told is
# in DIR/env.
#
# One compound command: the shell has read all of it before it runs any of it,
# so the file may be replaced (an upgrade) while jobs run. Its variables have names
# that the server keeps out of its environment, which is the command's.
{
procman_dir=$1 procman_boot=$2 procman_mask=$3 procman_stderr=$4 procman_cgroup=$5
shift 5
procman_recorder=
umask 077
procman_newline='
'
# Caught, not ignored: the runner outlives a signal to its group, the command
# gets the default handling back.
trap : HUP INT QUIT TERM USR1 USR2 ALRM

. "${0%/*}/identify.sh"

procman_identify
procman_runner=$procman_me
# In the foreground: a shell waits for that uninterrupted by the signals above.
(
	procman_identify
	[ -z "$procman_cgroup" ] || echo 0 2>/dev/null >"$procman_cgroup/cgroup.procs" || procman_cgroup=
	# What a shell cannot hand on of the environment: puts env(1) before the command.
	# And where its streams lead, if not from nothing to the logs.
	[ ! -e "$procman_dir/env" ] || . "$procman_dir/env"
	# Only one can make this file: the runner, or a server that gives the job up.
	set -C
	printf '%s\n' "$procman_boot" "$procman_runner" "$procman_me" "cgroup $procman_cgroup" \
		${procman_recorder:+"recorder $procman_recorder"} >"$procman_dir/process" || exit
	umask "$procman_mask"
	exec "$@"
) </dev/null >>"$procman_dir/stdout.log" 2>>"$procman_stderr"
procman_code=$?

read -r procman_owner <"$procman_dir/process"
[ "$procman_owner" = "$procman_boot" ] || exit 1

# Where the command could not be executed, its log holds this shell's complaint
# and nothing else.
case $procman_code in
126 | 127)
	# No more than a block: the log may be a hole of many gigabytes, and `read`
	# goes through it byte by byte.
	procman_why=$(PATH=$PATH:/bin:/usr/bin dd bs=4096 count=1 <"$procman_stderr" 2>/dev/null)
	case $procman_why in
	"$0:"*)
		: >"$procman_stderr"
		procman_why=${procman_why%%"$procman_newline"*}
		printf 'not executed%s\n' "${procman_why#"$0"}" >>"$procman_dir/process"
		;;
	esac
	;;
esac

times >>"$procman_dir/process"
while read -r procman_line; do
	procman_self=$procman_kids procman_kids=$procman_line
done <"$procman_dir/process"
# In a terminal, what sees to that makes it the job's own record.
procman_exit=$procman_dir/exit
[ ! -e "$procman_dir/recorder" ] || procman_exit=$procman_dir/ended
# Until there is room on the disk, but not after the job's directory is gone.
until printf '%s\n' "$procman_code" "$procman_self" "$procman_kids" >"$procman_exit"; do
	[ -d "$procman_dir" ] || exit 1
	PATH=$PATH:/bin:/usr/bin sleep 1 || exit 1
done
exit 0
}
