#!/bin/sh
# Runs script(1), which makes a terminal, in which runner.sh runs the job's
# command. Usage: terminal.sh DIR STDIN SCRIPT...
#
# The terminal ends with script, and script with the runner; this shell sees to it
# that the job has ended only when all output has come through.
{
procman_dir=$1 procman_stdin=$2
shift 2
umask 077
trap : HUP INT QUIT TERM USR1 USR2 ALRM

. "${0%/*}/identify.sh"

procman_identify
printf '%s\n' "$procman_me" >"$procman_dir/recorder" || exit
# Opened for both, so that script's input never ends: it would type an end of file
# of its own, whenever it thinks fit.
[ "$procman_stdin" = /dev/null ] || exec 8<>"$procman_stdin"
"$@" <"$procman_stdin" >>"$procman_dir/stdout.log" 2>"$procman_dir/complaint" 8>&- 9>&-
# What the runner has recorded.
PATH=/bin:/usr/bin:$PATH cat "$procman_dir/ended" >"$procman_dir/exit"
}
