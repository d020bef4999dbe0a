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
# Signals to the job's group are for the command, not for what it reads from: all
# but KILL, CHLD, STOP and what continues a stopped process (17 to 20). Ignored
# before there is a feeder, so that it never is without.
procman_signals='1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 21 22 23 24 25 26 27 28 29 30 31'
trap '' $procman_signals
"$1" "${0%/*}/feed.sh" "$procman_dir" "$1" >&6 3<&8 4<"$procman_dir/stdin.log" \
	5>&- 6>&- 7>&- 8<&- 9>&- &
printf '%s\n' "$!" >"$procman_dir/stdin.feeder" || exit
trap - $procman_signals
exec "$@" 5>&- 6>&- 7>&- 8<&-
}
