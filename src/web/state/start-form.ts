import { computed, type ReadonlySignal, signal } from "@preact/signals-core";
import parseDuration from "parse-duration";
import prettyMs from "pretty-ms";
import { type Job, NO_LIMIT } from "../../contract/job.js";
import { ProcmanError } from "../../contract/errors.js";
import type { RequestedOnEnd, StartOptions } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { splitLabel } from "./job-query.js";
import { type SplitLine, splitWords } from "./split-words.js";
import { shellWord } from "../../platform/shell-word.js";

/** What can be given to start a job, as it is typed. */
export interface StartFields {
  readonly commandLine: string;
  /** Whether a shell is to take the command line apart. */
  readonly usesShell: boolean;
  readonly name: string;
  readonly workDir: string;
  /** "NAME=VALUE", one a line; the same for labels. */
  readonly env: string;
  readonly clearEnv: boolean;
  readonly labels: string;
  readonly pty: boolean;
  readonly stdin: boolean;
  readonly timeout: string;
  /** Of all processes together, as the next two. */
  readonly memoryMaxMb: string;
  readonly cpus: string;
  readonly pidsMax: string;
  /** Of each process by itself, as the next two after niceness. */
  readonly openFilesMax: string;
  readonly nice: string;
  readonly cpuSeconds: string;
  readonly memoryMb: string;
  readonly logLimitMb: string;
  readonly lease: string;
  readonly endRemaining: boolean;
  readonly onEnd: string;
  readonly onEndTimeout: string;
}

export const EMPTY_FIELDS: StartFields = {
  commandLine: "",
  usesShell: false,
  name: "",
  workDir: "",
  env: "",
  clearEnv: false,
  labels: "",
  pty: false,
  stdin: false,
  timeout: "",
  memoryMaxMb: "",
  cpus: "",
  pidsMax: "",
  openFilesMax: "",
  nice: "",
  cpuSeconds: "",
  memoryMb: "",
  logLimitMb: "",
  lease: "",
  endRemaining: false,
  onEnd: "",
  onEndTimeout: "",
};

export type FieldName = keyof StartFields;

/** The fields of a part of the form that is folded away while nothing of it is used. */
export const LIMIT_FIELDS = [
  "timeout",
  "memoryMaxMb",
  "cpus",
  "pidsMax",
  "openFilesMax",
  "nice",
  "cpuSeconds",
  "memoryMb",
  "logLimitMb",
] as const satisfies readonly FieldName[];
export const END_FIELDS = [
  "lease",
  "endRemaining",
  "onEnd",
  "onEndTimeout",
] as const satisfies readonly FieldName[];

/** What is wrong, by field; under "" what is of none of them. */
export type FieldErrors = Readonly<Partial<Record<FieldName | "", string>>>;

const MB = 1_000_000;
/** Soft limits of bytes are multiples of this. */
const LIMIT_UNIT_BYTES = 1024;

/** A form to start a job. */
export class StartForm {
  readonly fields = signal<StartFields>(EMPTY_FIELDS);
  /** What a job that this is to be like was started with, and the form does not show. */
  #hidden: Partial<StartOptions> = {};
  readonly errors = signal<FieldErrors>({});
  /** The command line as it will be run. */
  readonly split: ReadonlySignal<SplitLine>;
  /** The same of the command that is run at the end. */
  readonly onEndSplit: ReadonlySignal<SplitLine>;

  constructor() {
    this.onEndSplit = computed(() => splitWords(this.fields.value.onEnd));
    this.split = computed(() => {
      const { commandLine, usesShell } = this.fields.value;
      if (!usesShell) return splitWords(commandLine);
      const words = commandLine.trim() === "" ? [] : ["sh", "-c", commandLine];
      return { words, shellSigns: [] };
    });
  }

  /** Fills the form with what a job was started with. @param job with its values of `env` */
  fill(job: Job): void {
    this.change(fieldsOf(job));
    const { mergeOutput, output, umask, nice, softLimits, windowSize } = job;
    this.#hidden = {
      mergeOutput: mergeOutput && !job.pty,
      output,
      // The command line hands on what its shell has, which is 0 mostly.
      ...(nice === 0 && { nice }),
      ...defined({ umask, softLimits, windowSize }),
    };
  }

  change(change: Partial<StartFields>): void {
    this.fields.value = { ...this.fields.value, ...change };
    const kept = Object.entries(this.errors.value).filter(([name]) => !(name in change));
    this.errors.value = Object.fromEntries(kept);
  }

  /** Whether any of these fields is filled in, or wrong. */
  uses(names: readonly FieldName[]): boolean {
    const [fields, errors] = [this.fields.value, this.errors.value];
    return names.some((name) => fields[name] !== EMPTY_FIELDS[name] || errors[name] !== undefined);
  }

  /** Returns what to start; undefined where something is wrong, which `errors` then says. */
  options(): StartOptions | undefined {
    const { fields, errors } = this;
    const found: FoundErrors = {};
    const options = optionsOf(fields.value, this.split.value, this.onEndSplit.value, found);
    errors.value = found;
    if (Object.keys(found).length > 0) return undefined;
    const { mergeOutput, output, windowSize, ...hidden } = this.#hidden;
    const softLimits = { ...hidden.softLimits, ...options.softLimits };
    return {
      ...hidden,
      // What is of a terminal goes with one, and the rest without.
      ...defined(options.pty ? { windowSize } : { mergeOutput, output }),
      ...options,
      ...(Object.keys(softLimits).length > 0 && { softLimits }),
    };
  }

  /** Says at its fields what Start has failed with. */
  fail(error: unknown): void {
    const found: FoundErrors = {};
    const add = (field: FieldName | "", text: string) => {
      found[field] = found[field] === undefined ? text : `${found[field]}; ${text}`;
    };
    if (error instanceof ProcmanError && error.violations.length > 0) {
      for (const { field, description } of error.violations) {
        const at = fieldOf(field);
        add(at, at === "" ? `${field}: ${description}` : description);
      }
    } else {
      add("", error instanceof Error ? error.message : String(error));
    }
    this.errors.value = found;
  }
}

function fieldsOf(job: Job): StartFields {
  const lines = (record: Readonly<Record<string, string>>) =>
    Object.entries(record)
      .map(([key, value]) => `${key}=${value}`)
      .join("\n");
  const isShell = job.command === "sh" && job.args.length === 2 && job.args[0] === "-c";
  return {
    commandLine: isShell ? (job.args[1] ?? "") : lineOf(job),
    usesShell: isShell,
    name: job.name ?? "",
    workDir: job.workDir,
    env: lines(job.env),
    clearEnv: job.clearEnv,
    labels: lines(job.labels),
    pty: job.pty,
    stdin: job.stdin,
    timeout: durationInput(job.timeoutMs),
    memoryMaxMb: megabytesText(job.limits?.memoryMaxBytes),
    cpus: asText(job.limits?.cpus),
    pidsMax: asText(job.limits?.pidsMax),
    openFilesMax: asText(job.limits?.openFilesMax),
    nice: asText(job.nice || undefined),
    cpuSeconds: asText(limitOf(job, "cpu")),
    memoryMb: megabytesText(limitOf(job, "as")),
    logLimitMb: megabytesText(job.logLimitBytes),
    lease: durationInput(job.leaseMs),
    endRemaining: job.endRemaining ?? false,
    onEnd: job.onEnd ? lineOf(job.onEnd) : "",
    onEndTimeout: durationInput(job.onEnd?.timeoutMs),
  };
}

function lineOf({ command, args }: Pick<Job, "command" | "args">): string {
  return [command, ...args].map(shellWord).join(" ");
}

function asText(value: number | undefined): string {
  return value === undefined ? "" : String(value);
}

function megabytesText(bytes: number | undefined): string {
  return asText(bytes === undefined ? undefined : bytes / MB);
}

/** Returns "1h 30m", or seconds where that would not be exact. */
function durationInput(ms: number | undefined): string {
  if (ms === undefined) return "";
  const text = prettyMs(ms);
  return parseDuration(text) === ms ? text : `${ms / 1000}s`;
}

function limitOf({ softLimits }: Job, resource: "cpu" | "as"): number | undefined {
  const limit = softLimits?.[resource];
  return limit === NO_LIMIT ? undefined : limit;
}

type FoundErrors = Partial<Record<FieldName | "", string>>;

function optionsOf(
  fields: StartFields,
  split: SplitLine,
  onEndSplit: SplitLine,
  found: FoundErrors,
): StartOptions {
  const [command = "", ...args] = split.words;
  if (split.error !== undefined) found.commandLine = split.error;
  else if (command === "") found.commandLine = "what is to be run?";
  const env = recordOf(fields.env, "env", found);
  const labels = recordOf(fields.labels, "labels", found);
  const duration = (field: "timeout" | "lease" | "onEndTimeout") =>
    durationOf(fields[field], field, found);
  const number = (field: (typeof LIMIT_FIELDS)[number]) => numberOf(fields[field], field, found);
  const bytes = (megabytes: number | undefined, unit = 1) =>
    megabytes === undefined ? undefined : Math.round((megabytes * MB) / unit) * unit;
  const limits = defined({
    memoryMaxBytes: bytes(number("memoryMaxMb")),
    cpus: number("cpus"),
    pidsMax: number("pidsMax"),
    openFilesMax: number("openFilesMax"),
  });
  const softLimits = defined({
    cpu: number("cpuSeconds"),
    as: bytes(number("memoryMb"), LIMIT_UNIT_BYTES),
  });
  return {
    command,
    args,
    ...defined({
      name: fields.name.trim() || undefined,
      workDir: fields.workDir.trim() || undefined,
      env: unlessEmpty(env),
      clearEnv: fields.clearEnv || undefined,
      labels: unlessEmpty(labels),
      timeoutMs: duration("timeout"),
      logLimitBytes: bytes(number("logLimitMb")),
      nice: niceOf(fields.nice, found),
      limits: unlessEmpty(limits),
      softLimits: unlessEmpty(softLimits),
      pty: fields.pty || undefined,
      stdin: fields.stdin || undefined,
      leaseMs: duration("lease"),
      endRemaining: fields.endRemaining || undefined,
      onEnd: onEndOf(onEndSplit, duration("onEndTimeout"), found),
    }),
  };
}

function unlessEmpty<T extends object>(record: T): T | undefined {
  return Object.keys(record).length === 0 ? undefined : record;
}

function onEndOf(
  { words, error }: SplitLine,
  timeoutMs: number | undefined,
  found: FoundErrors,
): RequestedOnEnd | undefined {
  const [command, ...args] = words;
  if (error !== undefined) found.onEnd = error;
  if (command !== undefined) return { command, args, ...defined({ timeoutMs }) };
  if (timeoutMs !== undefined) found.onEnd ??= "what is to be run, for that long at most?";
  return undefined;
}

function durationOf(text: string, field: FieldName, found: FoundErrors): number | undefined {
  if (text.trim() === "") return undefined;
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  found[field] = 'must be a duration such as "90s", "10m" or "2h"';
  return undefined;
}

function niceOf(text: string, found: FoundErrors): number | undefined {
  if (text.trim() === "") return undefined;
  const nice = Number(text);
  if (Number.isInteger(nice)) return nice;
  found.nice = "must be a whole number, from -20 to 19";
  return undefined;
}

function recordOf(text: string, field: FieldName, found: FoundErrors): Record<string, string> {
  const record: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [key, value] = splitLabel(line);
    if (!line.includes("=")) found[field] = `"${line}" must be NAME=VALUE`;
    else record[key.trim()] = value;
  }
  return record;
}

function numberOf(text: string, field: FieldName, found: FoundErrors): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  if (value > 0) return value;
  found[field] = "must be a number above 0";
  return undefined;
}

/** Where in the form a field of the request is: "args[2]" is a part of the command line. */
function fieldOf(field: string): FieldName | "" {
  const [path = "", name = ""] = /^(\w+)(?:\.\w+)?/.exec(field) ?? [];
  return FIELD_OF[field] ?? FIELD_OF[path] ?? FIELD_OF[name] ?? "";
}

const FIELD_OF: Readonly<Record<string, FieldName>> = {
  command: "commandLine",
  args: "commandLine",
  work_dir: "workDir",
  log_limit_bytes: "logLimitMb",
  "limits.memory_max_bytes": "memoryMaxMb",
  "limits.cpus": "cpus",
  "limits.pids_max": "pidsMax",
  "limits.open_files_max": "openFilesMax",
  'soft_limits["cpu"]': "cpuSeconds",
  'soft_limits["as"]': "memoryMb",
  nice: "nice",
  name: "name",
  env: "env",
  clear_env: "clearEnv",
  labels: "labels",
  timeout: "timeout",
  pty: "pty",
  stdin: "stdin",
  lease: "lease",
  end_remaining: "endRemaining",
  on_end: "onEnd",
  "on_end.timeout": "onEndTimeout",
};
