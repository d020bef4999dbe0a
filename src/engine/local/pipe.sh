# Sourced by runner.sh where the job's output goes through pipes: stdout.fifo and, unless
# both streams go to one log, stderr.fifo. Each has a carrier, a cat(1) that copies it to
# its log.
#
# This shell holds both ends of each pipe open until the command has ended. So a carrier
# that is killed does not end the command, which waits for the next one (carry.sh), and no
# carrier ends before. From then on it holds the reading ends only, and a carrier ends once
# nothing that the command has left can write any more.
#
# Sets procman_redirect, which gives the command its streams; procman_carriers, what
# DIR/process tells of the carriers; procman_drain, which is called at the command's end.

procman_stdout=$procman_dir/stdout procman_errors=${procman_stderr%.fifo}
procman_stderr=$procman_errors.log
procman_redirect=procman_redirect_pipes procman_drain=procman_drain_pipes
procman_is_merged=
[ "$procman_errors" != "$procman_stdout" ] || procman_is_merged=1

procman_tool() {
	PATH=/bin:/usr/bin:$PATH "$@"
}

# They are there where this is the second runner of the job.
if [ ! -p "$procman_errors.fifo" ]; then
	if [ -n "$procman_is_merged" ]; then
		procman_tool mkfifo "$procman_stdout.fifo" || exit
	else
		procman_tool mkfifo "$procman_stdout.fifo" "$procman_errors.fifo" || exit
	fi
fi
# Opening a FIFO for reading and writing never blocks, nor does any opening after that.
exec 3<>"$procman_stdout.fifo" 4<>"$procman_errors.fifo"
exec 5<"$procman_stdout.fifo" 6<"$procman_errors.fifo"

procman_redirect_pipes() {
	exec >"$procman_stdout.fifo" 2>"$procman_errors.fifo" 3>&- 4>&- 5<&- 6<&-
}

# Starts a carrier in the background: procman_carry DESCRIPTOR LOG
procman_carry() {
	# Signals to the job's group are for the command. A carrier ignores all but KILL (9)
	# and CHLD, CONT, STOP, TSTP (17 to 20), which is set before it is started.
	procman_signals='1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 21 22 23 24 25 26 27 28 29 30 31'
	trap '' $procman_signals
	PATH=/bin:/usr/bin:$PATH cat <&"$1" >>"$2" 2>/dev/null 3>&- 4>&- 5<&- 6<&- 7<&- 9>&- &
	trap - $procman_signals
	trap : HUP INT QUIT USR1 USR2 ALRM
	# Comes with the first signal of a stop, and with its last.
	trap procman_is_stopped=1 TERM
}

procman_is_stopped=
procman_carry 5 "$procman_stdout.log"
procman_out=$!
procman_identify $!
procman_carriers="carrier stdout $procman_me"
if [ -z "$procman_is_merged" ]; then
	procman_carry 6 "$procman_errors.log"
	procman_err=$!
	procman_identify $!
	procman_carriers="$procman_carriers${procman_newline}carrier stderr $procman_me"
fi

# Waits until all that the command has written is in its logs.
procman_drain_pipes() {
	procman_drain=
	# A shell that cannot fork exits. The carriers go on without it.
	trap '[ -p "$procman_at/exit" ] ||
		printf "%s\n" "$procman_code" "$procman_self" "$procman_kids" 1<>"$procman_at/exit"' EXIT
	exec 3>&- 4>&-
	procman_await_carrier stdout 5 "$procman_out"
	[ -n "$procman_is_merged" ] || procman_await_carrier stderr 6 "$procman_err"
	trap - EXIT
}

# Sets $procman_state to the state of a process (ps(1)), and $procman_parent to its parent.
if [ -r /proc/self/stat ]; then
	procman_look() {
		procman_state= procman_parent=
		{ read -r _ _ procman_state procman_parent _ <"/proc/$1/stat"; } 2>/dev/null
	}
else
	procman_look() {
		set -- $(/bin/ps -o stat= -o ppid= -p "$1")
		procman_state=$1 procman_parent=$2
	}
fi

# Waits until the disk has room for what a pipe holds, but not where the job was stopped:
# that may be to make room.
procman_await_room() {
	until procman_tool dd if=/dev/zero of="$procman_at/probe" bs=65536 count=1 2>/dev/null; do
		procman_tool rm -f "$procman_at/probe"
		[ -z "$procman_is_stopped" ] && [ -f "$procman_at/process" ] && procman_tool sleep 1 || return
	done
	procman_tool rm -f "$procman_at/probe"
}

# Waits until a carrier has written all that was in its pipe at the time of this call:
# procman_await_carrier STREAM DESCRIPTOR PID
procman_await_carrier() {
	procman_log=$procman_at/$1.log procman_pid=$3 procman_is_own=1
	procman_looks=0 procman_attempts=0 procman_enough=
	# The server has put another one on.
	if [ -f "$procman_at/$1.carrier" ]; then
		read -r procman_pid _ <"$procman_at/$1.carrier"
		procman_is_own=
	fi
	while :; do
		procman_look "$procman_pid"
		# Another process has its number.
		[ -z "$procman_is_own" ] || [ "$procman_parent" = $$ ] || procman_state=
		case $procman_state in
		# It sleeps (macOS: or is idle), so it waits for more: to write to a file is no sleep.
		# Something that the command has left holds the pipe open.
		[SI]*) return ;;
		'' | [XZ]*)
			# It has come to the end of the pipe.
			[ -n "$procman_is_own" ] && wait "$procman_pid" && return
			# It was killed, or found the disk full: what it had read is lost, no more may be.
			# The pipe is empty after as many attempts, or nobody can write the log.
			[ $((procman_attempts += 1)) -le 10 ] || return
			procman_await_room || return
			procman_carry "$2" "$procman_log"
			procman_pid=$! procman_is_own=1
			;;
		[Tt]*) kill -CONT "$procman_pid" ;;
		esac
		[ $((procman_looks += 1)) -gt 20 ] || continue
		# It may never sleep where something that is left writes without a pause. Once the log
		# has grown by more than any pipe holds, what was in it before is there.
		procman_size=$(procman_tool ls -ln "$procman_log" | { read -r _ _ _ _ procman_size _; echo "$procman_size"; })
		procman_enough=${procman_enough:-$((procman_size + 2097152))}
		[ "${procman_size:-0}" -lt "$procman_enough" ] || return
		procman_tool sleep 0.02 2>/dev/null || procman_tool sleep 1
	done
}
