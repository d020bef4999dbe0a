#!/bin/sh
# Copies a job's input to where the command reads it: what is in stdin.log, and
# what is added to it, until it is closed.
# Usage: feed.sh DIR SHELL 3<stdin.bell 4<stdin.log >stdin.fifo, with signals ignored
{
procman_dir=$1 procman_shell=$2
PATH=/bin:/usr/bin:$PATH
# A shell that cannot fork ends, and the command would take that for the end of
# its input: wait a second, ring, and begin again. Waiting must not fork either,
# which dash has no means for; bash is where dash is /bin/sh.
procman_again='read -r -t 1 _ <>"$0/stdin.bell"; echo >"$0/stdin.bell"; exec "$1" "$2" "$0" "$1"'
trap '
	procman_waiter=bash
	command -v bash >/dev/null || procman_waiter=$procman_shell
	BASH_ENV= exec "$procman_waiter" -c "$procman_again" "$procman_dir" "$procman_shell" "$0"
' EXIT

# Rung after each addition, the first when the command is there. It ends with the
# runner.
while read -r _ <&3; do
	# Where to go on is kept by the open file: no byte is copied twice, none left
	# out. It fails when nobody reads any more.
	cat <&4 || break
	# Made after the last byte was written.
	if [ -e "$procman_dir/stdin.closed" ]; then
		cat <&4
		break
	fi
done
trap - EXIT
}
