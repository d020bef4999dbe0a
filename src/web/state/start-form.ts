import { computed, type ReadonlySignal, signal } from "@preact/signals-core";
import parseDuration from "parse-duration";
import { type Job, NO_LIMIT } from "../../contract/job.js";
import { ProcmanError } from "../../contract/errors.js";
import type { StartOptions } from "../../contract/procman.js";
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
  readonly labels: string;
  readonly timeout: string;
  readonly logLimitMb: string;
  readonly cpuSeconds: string;
  readonly memoryMb: string;
  readonly pty: boolean;
  readonly stdin: boolean;
}

export const EMPTY_FIELDS: StartFields = {
  commandLine: "",
  usesShell: false,
  name: "",
  workDir: "",
  env: "",
  labels: "",
  timeout: "",
  logLimitMb: "",
  cpuSeconds: "",
  memoryMb: "",
  pty: false,
  stdin: false,
};

export type FieldName = keyof StartFields;

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

  constructor() {
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
    const { clearEnv, mergeOutput, output, umask, nice, softLimits, windowSize } = job;
    this.#hidden = {
      clearEnv,
      mergeOutput: mergeOutput && !job.pty,
      output,
      ...defined({ umask, nice, softLimits, windowSize }),
    };
  }

  change(change: Partial<StartFields>): void {
    this.fields.value = { ...this.fields.value, ...change };
    const kept = Object.entries(this.errors.value).filter(([name]) => !(name in change));
    this.errors.value = Object.fromEntries(kept);
  }

  /** Returns what to start; undefined where something is wrong, which `errors` then says. */
  options(): StartOptions | undefined {
    const { fields, errors } = this;
    const found: Partial<Record<FieldName | "", string>> = {};
    const options = optionsOf(fields.value, this.split.value, found);
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
    const found: Partial<Record<FieldName | "", string>> = {};
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
  const bytes = limitOf(job, "as");
  const asText = (value: number | undefined) => (value === undefined ? "" : String(value));
  return {
    commandLine: isShell
      ? (job.args[1] ?? "")
      : [job.command, ...job.args].map(shellWord).join(" "),
    usesShell: isShell,
    name: job.name ?? "",
    workDir: job.workDir,
    env: lines(job.env),
    labels: lines(job.labels),
    timeout: job.timeoutMs === undefined ? "" : `${job.timeoutMs / 1000}s`,
    logLimitMb: asText(job.logLimitBytes === undefined ? undefined : job.logLimitBytes / MB),
    cpuSeconds: asText(limitOf(job, "cpu")),
    memoryMb: asText(bytes === undefined ? undefined : bytes / MB),
    pty: job.pty,
    stdin: job.stdin,
  };
}

function limitOf({ softLimits }: Job, resource: "cpu" | "as"): number | undefined {
  const limit = softLimits?.[resource];
  return limit === NO_LIMIT ? undefined : limit;
}

function optionsOf(
  fields: StartFields,
  split: SplitLine,
  found: Partial<Record<FieldName | "", string>>,
): StartOptions {
  const [command = "", ...args] = split.words;
  if (split.error !== undefined) found.commandLine = split.error;
  else if (command === "") found.commandLine = "what is to be run?";
  const env = recordOf(fields.env, "env", found);
  const labels = recordOf(fields.labels, "labels", found);
  const timeoutMs = fields.timeout.trim() === "" ? undefined : parseDuration(fields.timeout);
  if (timeoutMs === null) found.timeout = 'must be a duration such as "90s", "10m" or "2h"';
  const logLimitMb = numberOf(fields.logLimitMb, "logLimitMb", found);
  const cpu = numberOf(fields.cpuSeconds, "cpuSeconds", found);
  const memoryMb = numberOf(fields.memoryMb, "memoryMb", found);
  const softLimits = {
    ...(cpu !== undefined && { cpu }),
    ...(memoryMb !== undefined && {
      as: Math.round((memoryMb * MB) / LIMIT_UNIT_BYTES) * LIMIT_UNIT_BYTES,
    }),
  };
  return {
    command,
    args,
    ...(fields.name.trim() !== "" && { name: fields.name.trim() }),
    ...(fields.workDir.trim() !== "" && { workDir: fields.workDir.trim() }),
    ...(Object.keys(env).length > 0 && { env }),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(timeoutMs != null && { timeoutMs }),
    ...(logLimitMb !== undefined && { logLimitBytes: Math.round(logLimitMb * MB) }),
    ...(Object.keys(softLimits).length > 0 && { softLimits }),
    ...(fields.pty && { pty: true }),
    ...(fields.stdin && { stdin: true }),
  };
}

function recordOf(
  text: string,
  field: FieldName,
  found: Partial<Record<FieldName | "", string>>,
): Record<string, string> {
  const record: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [key, value] = splitLabel(line);
    if (!line.includes("=")) found[field] = `"${line}" must be NAME=VALUE`;
    else record[key.trim()] = value;
  }
  return record;
}

function numberOf(
  text: string,
  field: FieldName,
  found: Partial<Record<FieldName | "", string>>,
): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  if (value > 0) return value;
  found[field] = "must be a number above 0";
  return undefined;
}

/** Where in the form a field of the request is: "args[2]" is a part of the command line. */
function fieldOf(field: string): FieldName | "" {
  const [, name = ""] = /^(\w+)/.exec(field) ?? [];
  switch (name) {
    case "command":
    case "args":
      return "commandLine";
    case "work_dir":
      return "workDir";
    case "log_limit_bytes":
      return "logLimitMb";
    case "soft_limits":
      return /cpu/.test(field) ? "cpuSeconds" : "memoryMb";
    case "name":
    case "env":
    case "labels":
    case "timeout":
    case "pty":
    case "stdin":
      return name;
    default:
      return "";
  }
}
