# Sourced by a job's own shells: `procman_identify` sets $procman_me to the identity of
# this process, its pid and start time among it.
if [ -r /proc/self/stat ]; then
	procman_identify() { read -r procman_me </proc/self/stat; }
else
	procman_identify() {
		procman_me=$(exec /bin/sh -c 'echo $PPID')
		procman_me="$procman_me $(LC_ALL=C TZ=UTC /bin/ps -o lstart= -p "$procman_me")"
	}
fi
