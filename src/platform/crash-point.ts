/**
 * `PROCMAN_CRASH_AT=name` or `name@n` ends this process with SIGKILL when it
 * comes to that point (for the n-th time), so that the crash tests can stop a
 * real server between any two steps. Read once: it costs nothing elsewhere.
 */
const [crashAt, passes = "1"] = process.env["PROCMAN_CRASH_AT"]?.split("@") ?? [];
let passesLeft = Number(passes);

export function crashPoint(name: string): void {
  if (crashAt !== name) return;
  passesLeft -= 1;
  if (passesLeft === 0) process.kill(process.pid, "SIGKILL");
}
