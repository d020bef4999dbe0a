import { type Command, InvalidArgumentError, Option } from "commander";
import parseDuration from "parse-duration";
import {
  isJobName,
  JOB_NAME_RULE,
  MAX_UMASK,
  NO_LIMIT,
  type SoftLimits,
  STREAMS,
  type Stream,
  type WindowSize,
} from "../../contract/job.js";
import { MAX_OUTPUT_BYTES, type OutputPeriod, type OutputStart } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { RESOURCES } from "../../platform/resource-limits.js";
import { HOST_OPTIONS, type HostOptions } from "../remote-host.js";
import { CliError, EXIT } from "../exit-codes.js";
import { type DetachKey, parseDetachKey } from "../terminal/keys.js";

/*
 * The options that several commands share, and the parsers of their values. A parser
 * throws InvalidArgumentError, to which commander adds the option's name. One that
 * takes the values before is for an option that can be given several times.
 */

export interface JsonOption {
  readonly json?: boolean;
}

/** The options that say which server a command is for. */
export interface ServerOptions extends HostOptions {
  readonly stateDir?: string;
}

export function isServerOption(attributeName: string): attributeName is keyof ServerOptions {
  return attributeName === "stateDir" || HOST_OPTIONS.some((each) => each === attributeName);
}

/** @param options.showsAll whether the help has those that few need */
export function addServerOptions(command: Command, options: { readonly showsAll: boolean }): void {
  const { showsAll } = options;
  command.option(
    "--state-dir <dir>",
    "the directory of the server and its jobs (default: $PROCMAN_STATE_DIR, else ~/.cache/procman)",
    parseNonEmpty,
  );
  const more = showsAll ? "" : "; see procman --help";
  const add = (flags: string, description: string, isHidden: boolean) =>
    command.addOption(new Option(flags, description).argParser(parseNonEmpty).hideHelp(isHidden));
  add(
    "--host <url>",
    `a server of another machine: ssh://USER@HOST or https://HOST:PORT (default: $PROCMAN_HOST)${more}`,
    LOCAL_COMMANDS.has(command.name()),
  );
  add(
    "--token-file <file>",
    "a file with the token for --host https:// (default: $PROCMAN_TOKEN_FILE)",
    !showsAll,
  );
  add(
    "--ca-file <file>",
    "the certificates to trust for it, in place of the system's (default: $PROCMAN_CA_FILE)",
    !showsAll,
  );
  add(
    "--cert-file <file>",
    "the client's certificate for it (default: $PROCMAN_CERT_FILE)",
    !showsAll,
  );
  add("--key-file <file>", "the key of that certificate (default: $PROCMAN_KEY_FILE)", !showsAll);
}

/** The commands that are for this machine's server alone. */
const LOCAL_COMMANDS: ReadonlySet<string> = new Set([
  "serve",
  "start",
  "stop",
  "token",
  "completion",
  "dial-stdio",
]);

export interface DetachKeyOption {
  readonly detachKey: DetachKey;
}

export function detachKeyOption(): Option {
  return new Option("--detach-key <key>", "the key that leaves the terminal of the job")
    .argParser(parseDetachKey)
    .default(parseDetachKey("ctrl-]"), "ctrl-]");
}

export interface OutputStartOptions {
  readonly tail?: number;
  readonly stdoutOffset?: number;
  readonly stderrOffset?: number;
  readonly stream?: readonly Stream[];
}

/** Adds the options that say where in a job's output to begin. */
export function addOutputStartOptions(command: Command): Command {
  return command
    .option("-n, --tail <lines>", "begin with this many lines from the end", parseWholeNumber)
    .option("--stdout-offset <byte>", "begin at this byte of stdout", parseWholeNumber)
    .option("--stderr-offset <byte>", "begin at this byte of stderr", parseWholeNumber)
    .option("--stream <stream>", "show only stdout, or only stderr", choiceParser(STREAMS));
}

export function outputStart(options: OutputStartOptions): OutputStart {
  const { tail, stdoutOffset, stderrOffset, stream } = options;
  return defined({ tailLines: tail, stdoutOffset, stderrOffset, streams: stream });
}

export interface PeriodOptions {
  readonly since?: Date;
  readonly until?: Date;
}

/** Adds the options that say which output is meant by when it was written. */
export function addPeriodOptions(command: Command): Command {
  return command
    .option("--since <time>", 'only output written since: "10m" ago, or a time', parseTime)
    .option("--until <time>", "only output written until then; following stops then", parseTime);
}

export function outputPeriod({ since, until }: PeriodOptions): OutputPeriod {
  return defined({ sinceTime: since, untilTime: until });
}

const TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?$/i;

/** Parses a time of RFC 3339, where a zone that is missing is the local one, or how long ago. */
export function parseTime(text: string): Date {
  const trimmed = text.trim();
  if (TIME.test(trimmed)) {
    const time = new Date(/[T ]/i.test(trimmed) ? trimmed : `${trimmed}T00:00`);
    if (!Number.isNaN(time.getTime())) return time;
  }
  const now = Date.now();
  if (trimmed === "now") return new Date(now);
  if (trimmed !== "0" && !DURATION.test(trimmed)) {
    throw new InvalidArgumentError(
      'Give a duration, such as "10m", or a time, such as "2026-01-31T12:00:00Z".',
    );
  }
  return new Date(now - parseDurationMs(trimmed));
}

export interface GrepOptions {
  readonly grep?: string;
  readonly invert?: boolean;
}

/** Adds the options that say which lines of the output to show. */
export function addGrepOptions(command: Command): Command {
  return command
    .option("-g, --grep <pattern>", "show only lines that this pattern (RE2) is found in")
    .option("-v, --invert", "with --grep: show only the other lines");
}

/** Returns which lines are wanted; undefined: all. @throws CliError */
export function lineFilter({ grep, invert }: GrepOptions) {
  if (grep !== undefined) return { pattern: grep, invert: invert ?? false };
  if (invert) throw new CliError("--invert goes with --grep", { exitCode: EXIT.usage });
  return undefined;
}

/** Returns a parser of words, with commas between them, of which each has to be one of these. */
export function choiceParser<Choice extends string>(
  choices: readonly Choice[],
): (text: string, before: readonly Choice[] | undefined) => readonly Choice[] {
  return (text, before = []) => {
    const words = text.split(",").map((word) => word.trim().toLowerCase());
    const chosen = words.map((word) => {
      const choice = choices.find((each) => each === word);
      if (choice) return choice;
      throw new InvalidArgumentError(`Choose from ${choices.join(", ")}.`);
    });
    return [...before, ...chosen];
  };
}

/** Takes a text as it is. An empty one mostly is a variable that is not set. */
export function parseNonEmpty(text: string): string {
  if (text !== "") return text;
  throw new InvalidArgumentError("It must not be empty.");
}

/** Parses a name that a job can have. Another one would be a filter that nothing matches. */
export function parseJobName(text: string): string {
  if (isJobName(text)) return text;
  throw new InvalidArgumentError(`Give ${JOB_NAME_RULE}.`);
}

/** Takes the path of one more file. */
export function parseFile(path: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), path];
}

/** Parses words with commas between them. */
export function parseWords(text: string, before: readonly string[] = []): readonly string[] {
  const words = text.split(",").map((word) => word.trim());
  if (words.includes("")) throw new InvalidArgumentError("Give words with commas between them.");
  return [...before, ...words];
}

export type KeyValues = Readonly<Record<string, string>>;

/** Parses "KEY=VALUE"; a later value of a key replaces the one before. */
export function parseKeyValue(text: string, before: KeyValues | undefined): KeyValues {
  const equals = text.indexOf("=");
  if (equals <= 0) throw new InvalidArgumentError("Give KEY=VALUE.");
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

/** Variables by their names; undefined: with the value that this command itself has. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** Parses "NAME=VALUE", or "NAME" for the value of this command's own environment. */
export function parseVariable(text: string, before: Variables | undefined): Variables {
  if (text === "" || text.includes("=")) return { ...before, ...parseKeyValue(text, undefined) };
  return { ...before, [text]: undefined };
}

export interface ListenOption {
  readonly host: string;
  readonly port: number;
}

/**
 * Parses addresses with commas between them: "HOST:PORT", where an IPv6 address stands in
 * brackets, or "none" for none.
 */
export function parseListen(
  text: string,
  before: readonly ListenOption[] = [],
): readonly ListenOption[] {
  if (text === "none") return before;
  return [...before, ...text.split(",").map(parseAddress)];
}

function parseAddress(text: string): ListenOption {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65_535) {
    throw new InvalidArgumentError(
      'Give HOST:PORT, such as "127.0.0.1:7420" or "[::1]:0", or "none".',
    );
  }
  return { host, port };
}

/** Parses a whole number of 0 or more. */
export function parseWholeNumber(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError("Give a whole number from 0 on.");
}

/** Parses a number that may have a fraction: "1.5". */
export function parseDecimal(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Give a number, such as "1.5".');
}

/** Parses a whole number that may be negative. */
export function parseInteger(text: string): number {
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError("Give a whole number.");
}

/** Parses permission bits as umask(1) does: "022". */
export function parseUmask(text: string): number {
  const umask = Number.parseInt(text, 8);
  if (/^[0-7]+$/.test(text) && umask <= MAX_UMASK) return umask;
  throw new InvalidArgumentError('Give octal digits: "022".');
}

/** Parses "nofile=1024" or "core=unlimited"; a later limit of a name replaces the one before. */
export function parseSoftLimit(text: string, before: SoftLimits | undefined): SoftLimits {
  const [name = "", amount = ""] = text.split(/=(.*)/s);
  const resource = RESOURCES.find((each) => each === name);
  if (resource === undefined) {
    throw new InvalidArgumentError(`Give NAME=LIMIT, with a name of ${RESOURCES.join(", ")}.`);
  }
  return { ...before, [resource]: amount === "unlimited" ? NO_LIMIT : parseWholeNumber(amount) };
}

/** Parses the size of a terminal, columns first: "120x40". */
export function parseWindowSize(text: string): WindowSize {
  const [columns, rows] = (/^(\d{1,5})x(\d{1,5})$/.exec(text.trim()) ?? []).slice(1).map(Number);
  if (columns && rows) return { rows, columns };
  throw new InvalidArgumentError('Give columns and rows: "120x40".');
}

/** Numbers with units, and nothing else: parse-duration skips what it does not know. */
const DURATION = /^(?:\d+(?:\.\d+)?\s*(?:ms|s|sec|m|min|h|d|w)\s*)+$/;

/** Parses "1h30m" or "1.5 s" to whole milliseconds, rounded up. */
export function parseDurationMs(text: string): number {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  if (!DURATION.test(trimmed)) {
    throw new InvalidArgumentError(
      'Give a number and a unit (ms, s, m, h, d, w), such as "1h30m".',
    );
  }
  const ms = parseDuration(trimmed) ?? 0;
  if (ms > Number.MAX_SAFE_INTEGER) throw new InvalidArgumentError("That is too long.");
  return Math.ceil(ms);
}

/** Parses a duration that is longer than 0. */
export function parsePositiveDurationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === 0) throw new InvalidArgumentError("It must be longer than 0.");
  return ms;
}

const SIZE_UNITS = new Map([
  ["", 1],
  ["b", 1],
  ["kb", 1e3],
  ["mb", 1e6],
  ["gb", 1e9],
  ["tb", 1e12],
  ["kib", 1024],
  ["mib", 1024 ** 2],
  ["gib", 1024 ** 3],
  ["tib", 1024 ** 4],
]);

/** Parses how much output to show: a size that one answer can have. */
export function parseOutputSizeBytes(text: string): number {
  const bytes = parseSizeBytes(text);
  if (bytes > 0 && bytes <= MAX_OUTPUT_BYTES) return bytes;
  throw new InvalidArgumentError("It must be more than 0, and at most 256KiB.");
}

/** Parses "100MB", "1.5 GiB" or "65536" to whole bytes. */
export function parseSizeBytes(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const unitBytes = SIZE_UNITS.get(unit.toLowerCase());
  if (number === undefined || unitBytes === undefined) {
    throw new InvalidArgumentError(
      'Give a number and a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as "100MB".',
    );
  }
  const bytes = Math.round(Number(number) * unitBytes);
  if (bytes > Number.MAX_SAFE_INTEGER) throw new InvalidArgumentError("That is too much.");
  return bytes;
}
