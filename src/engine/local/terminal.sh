#!/bin/sh
# Runs script(1), which makes a terminal in which runner.sh runs the job's command.
# Usage: terminal.sh DIR STDIN SCRIPT...
#
# The terminal ends with script, and script with the runner. This shell writes the job's
# exit record after that, when all output is in the log.
{
procman_dir=$1 procman_stdin=$2
shift 2
umask 077
trap : HUP INT QUIT TERM USR1 USR2 ALRM

. "${0%/*}/identify.sh"

procman_identify
printf '%s\n' "$procman_me" >"$procman_dir/recorder" || exit
# Open until the end, so that the directory is found again wherever it was moved (Linux).
exec 7<"$procman_dir" || exit
# Opened for reading and writing, so that script's input never ends. At its end, script
# would type an end of file into the terminal at a time of its own choosing.
[ "$procman_stdin" = /dev/null ] || exec 8<>"$procman_stdin"
"$@" <"$procman_stdin" >>"$procman_dir/stdout.log" 2>"$procman_dir/complaint" 7<&- 8>&- 9>&-
[ ! -e /proc/self/fd/7/ended ] || procman_dir=/proc/self/fd/7
# The exit record that the runner has written.
PATH=/bin:/usr/bin:$PATH cat "$procman_dir/ended" 1<>"$procman_dir/exit"
}
