#!/bin/sh
# The parent of one job's command, so that how the command ends is recorded
# whoever else is alive. Usage: runner.sh DIR BOOT_ID UMASK STDERR_LOG CGROUP COMMAND...
#
# One compound command: the shell has read all of it before it runs any of it,
# so the file may be replaced (an upgrade) while jobs run.
{
dir=$1 boot=$2 mask=$3 stderr=$4 cgroup=$5
shift 5
umask 077
newline='
'
# Caught, not ignored: the runner outlives a signal to its group, the command
# gets the default handling back.
trap : HUP INT QUIT TERM USR1 USR2 ALRM

if [ -r /proc/self/stat ]; then
	identify() { read -r me </proc/self/stat; }
else
	identify() {
		me=$(exec /bin/sh -c 'echo $PPID')
		me="$me $(LC_ALL=C TZ=UTC /bin/ps -o lstart= -p "$me")"
	}
fi

identify
runner=$me
# In the foreground: a shell waits for that uninterrupted by the signals above.
(
	identify
	[ -z "$cgroup" ] || echo 0 2>/dev/null >"$cgroup/cgroup.procs" || cgroup=
	# Only one can make this file: the runner, or a server that gives the job up.
	set -C
	printf '%s\n' "$boot" "$runner" "$me" "cgroup $cgroup" >"$dir/process" || exit
	umask "$mask"
	exec "$@"
) </dev/null >>"$dir/stdout.log" 2>>"$stderr"
code=$?

read -r owner <"$dir/process"
[ "$owner" = "$boot" ] || exit 1

# Where the command could not be executed, its log holds this shell's complaint
# and nothing else.
case $code in
126 | 127)
	# No more than a block: the log may be a hole of many gigabytes, and `read`
	# goes through it byte by byte.
	why=$(PATH=$PATH:/bin:/usr/bin dd bs=4096 count=1 <"$stderr" 2>/dev/null)
	case $why in
	"$0:"*)
		: >"$stderr"
		why=${why%%"$newline"*}
		printf 'not executed%s\n' "${why#"$0"}" >>"$dir/process"
		;;
	esac
	;;
esac

times >>"$dir/process"
while read -r line; do
	self=$kids kids=$line
done <"$dir/process"
# Until there is room on the disk, but not after the job's directory is gone.
until printf '%s\n' "$code" "$self" "$kids" >"$dir/exit"; do
	[ -d "$dir" ] || exit 1
	PATH=$PATH:/bin:/usr/bin sleep 1 || exit 1
done
exit 0
}
