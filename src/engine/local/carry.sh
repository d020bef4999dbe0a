#!/bin/sh
# Becomes a new carrier of a job's output (pipe.sh), in place of one that was killed or
# found no room. Usage: carry.sh DIR STREAM
{
. "${0%/*}/identify.sh"

procman_identify
[ -p "$1/$2.fifo" ] || exit
# Open for writing for a moment, so that the other opening does not block.
exec 3<>"$1/$2.fifo" <"$1/$2.fifo" >>"$1/$2.log"
printf '%s\n' "$procman_me" >"$1/$2.carrier" || exit
PATH=/bin:/usr/bin:$PATH
exec cat 3>&-
}
