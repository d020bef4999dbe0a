import { ProcmanError } from "../contract/errors.js";
import { printable } from "./format/printable.js";

/** What the command line calls the API's fields, and the manager's options. */
const OPTIONS: Readonly<Record<string, string>> = {
  id: "the id",
  command: "the command",
  env: "--env",
  labels: "--label",
  work_dir: "--work-dir",
  request_id: "--request-id",
  name: "--name",
  if_running: "--if-running",
  timeout: "--timeout",
  lease: "--lease",
  log_limit_bytes: "--log-limit",
  umask: "--umask",
  nice: "--nice",
  "limits.memory_max_bytes": "--memory",
  "limits.cpus": "--cpus",
  "limits.pids_max": "--pids",
  "limits.open_files_max": "--open-files",
  max_bytes: "--max-output",
  window_size: "the size",
  pty: "--tty",
  stdin: "--stdin",
  merge_output: "--merge-output",
  output: "--pipe",
  grace_period: "--grace",
  older_than: "--older-than",
  signal: "the signal",
  port: "--for-port",
  "output.pattern": "--for-output",
  pattern: "--grep",
  "output_pattern.pattern": "--grep",
  invert: "--invert",
  since_time: "--since",
  until_time: "--until",
  "on_end.command": "--on-end",
  "output.stdout_offset": "--stdout-offset",
  "output.stderr_offset": "--stderr-offset",
  stdout_offset: "--stdout-offset",
  stderr_offset: "--stderr-offset",
  tail_lines: "--tail",
  streams: "--stream",
  statuses: "--status",
  logLimitBytes: "--log-limit",
  cleanupAgeMs: "--cleanup-age",
  retainAgeMs: "--retain-age",
  retainBytes: "--retain-bytes",
  pollIntervalMs: "--poll-interval",
};

/** Returns a failure's message for one line, with the command line's own words. */
export function failureText(failure: unknown): string {
  if (!(failure instanceof Error)) return printable(String(failure));
  let message = failure.message
    .replace("include_remaining", "--remaining")
    .replace("before since_time", "before --since");
  for (const { field } of failure instanceof ProcmanError ? failure.violations : []) {
    // A field of one word may as well be a word of the message.
    const name = field.includes("_") ? field : `${field}: `;
    message = message.replace(name, () => name.replace(field, () => optionOf(field)));
  }
  return printable(message);
}

/** Returns the option that a field was given by: "--env A" for `env["A"]`, "argument 2" for `args[1]`. */
function optionOf(field: string): string {
  const known = Object.hasOwn(OPTIONS, field) ? OPTIONS[field] : undefined;
  if (known !== undefined) return known;
  const index = /^args\[(\d+)\]$/.exec(field)?.[1];
  if (index !== undefined) return `argument ${Number(index) + 1}`;
  const limit = /^soft_limits\["(\w+)"\]$/.exec(field)?.[1];
  if (limit !== undefined) return `--ulimit ${limit}`;
  const variable = /^env\["(.*)"\]$/s.exec(field)?.[1];
  return variable === undefined ? field : `--env ${variable}`;
}
