# Sourced by a job's own shells: `procman_identify [PID]` sets $procman_me to the identity of
# that process, of this one without PID: its pid and start time among it.
if [ -r /proc/self/stat ]; then
	procman_identify() { read -r procman_me <"/proc/${1:-self}/stat"; }
else
	procman_identify() {
		procman_me=${1:-$(exec /bin/sh -c 'echo $PPID')}
		procman_me="$procman_me $(LC_ALL=C TZ=UTC /bin/ps -o lstart= -p "$procman_me")"
	}
fi
