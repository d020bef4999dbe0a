#!/bin/sh
# Opens a job's input, then becomes the job's runner.
# Usage: input.sh DIR SHELL RUNNER...
#
# What SendInput takes is in stdin.log. feed.sh copies it from there into the
# FIFO stdin.fifo, which the command has as its stdin; the server rings stdin.bell
# when there is more. Neither needs the server to stay: feed.sh has the only end
# of stdin.fifo that is written to, and the runner keeps descriptor 9 open, so
# that the bell does not end while it is alive, and does when it is not.
{
procman_dir=$1
shift
umask 077
PATH=/bin:/usr/bin:$PATH mkfifo "$procman_dir/stdin.fifo" "$procman_dir/stdin.bell" || exit
# To open a FIFO for both never waits for the other end; nor does the rest then.
exec 5<>"$procman_dir/stdin.fifo" 6>"$procman_dir/stdin.fifo" 7<>"$procman_dir/stdin.bell"
exec 8<"$procman_dir/stdin.bell" 9>"$procman_dir/stdin.bell"
"$1" "${0%/*}/feed.sh" "$procman_dir" "$1" >&6 3<&8 4<"$procman_dir/stdin.log" \
	5>&- 6>&- 7>&- 8<&- 9>&- &
printf '%s\n' "$!" >"$procman_dir/stdin.feeder" || exit
exec "$@" 5>&- 6>&- 7>&- 8<&-
}
