#!/bin/sh
# Copies a job's input from stdin.log to the FIFO that the command reads, and goes on
# with what is added until the input is closed.
# Usage: feed.sh DIR SHELL 3<stdin.bell 4<stdin.log 5<DIR >stdin.fifo, with signals ignored
{
procman_dir=$1 procman_shell=$2
PATH=/bin:/usr/bin:$PATH
# A shell that cannot fork exits, which the command would take for the end of its
# input. So this shell waits a second, rings the bell and starts again. The wait must
# not fork either. dash cannot do that, but where dash is /bin/sh there is bash.
procman_again='read -r -t 1 _ <>"$0/stdin.bell"; echo >"$0/stdin.bell"; exec "$1" "$2" "$0" "$1"'
trap '
	procman_waiter=bash
	command -v bash >/dev/null || procman_waiter=$procman_shell
	BASH_ENV= exec "$procman_waiter" -c "$procman_again" "$procman_dir" "$procman_shell" "$0"
' EXIT

# The bell rings after each addition, and first when the command has started. It ends
# with the runner.
while read -r _ <&3; do
	# The open file keeps the position, so no byte is copied twice or left out. cat
	# fails once nobody reads any more.
	cat <&4 || break
	# This file is created after the last byte was written. The directory may have been moved.
	if [ -e "$procman_dir/stdin.closed" ] || [ -e /proc/self/fd/5/stdin.closed ]; then
		cat <&4
		break
	fi
done
trap - EXIT
}
