#!/bin/sh
# Opens a job's input, then becomes the job's runner.
# Usage: input.sh DIR SHELL RUNNER...
#
# SendInput appends to stdin.log. feed.sh copies that into the FIFO stdin.fifo, which is
# the command's stdin, whenever the server rings stdin.bell. Neither FIFO needs the
# server to stay alive: feed.sh has the only writing end of stdin.fifo, and the runner
# keeps the bell open at descriptor 9, so that the bell ends with the runner.
{
procman_dir=$1
shift
umask 077
PATH=/bin:/usr/bin:$PATH mkfifo "$procman_dir/stdin.fifo" "$procman_dir/stdin.bell" || exit
# Opening a FIFO for reading and writing never blocks, nor does any opening after that.
exec 5<>"$procman_dir/stdin.fifo" 6>"$procman_dir/stdin.fifo" 7<>"$procman_dir/stdin.bell"
exec 8<"$procman_dir/stdin.bell" 9>"$procman_dir/stdin.bell"
# Signals to the job's group are for the command, not for its feeder. That ignores all
# but KILL (9) and CHLD, CONT, STOP, TSTP (17 to 20), which is set before the feeder is
# started, so that there is never one without.
procman_signals='1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 21 22 23 24 25 26 27 28 29 30 31'
trap '' $procman_signals
"$1" "${0%/*}/feed.sh" "$procman_dir" "$1" >&6 3<&8 4<"$procman_dir/stdin.log" \
	5<"$procman_dir" 6>&- 7>&- 8<&- 9>&- &
printf '%s\n' "$!" >"$procman_dir/stdin.feeder" || exit
trap - $procman_signals
exec "$@" 5>&- 6>&- 7>&- 8<&-
}
