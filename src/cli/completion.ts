import { constants } from "node:os";
import type { Argument, Command, Option } from "commander";
import { isTerminal, type Job, STATUSES, STREAMS } from "../contract/job.js";
import type { CommandContext } from "./commands/command-context.js";
import { isServerOption, type ServerOptions } from "./commands/options.js";
import { LIST_FORMS } from "./commands/list-output.js";
import { commandLine, printable } from "./format/printable.js";

/** What a shell may offer for a word, and what it is. */
export interface Candidate {
  readonly value: string;
  readonly about: string;
}

/** What is being typed: the command so far, and what its last word is to be. */
interface Typed {
  readonly command: Command;
  /** The option whose value the last word is. */
  readonly option: Option | undefined;
  readonly argument: Argument | undefined;
  /** How many arguments come before the last word. */
  readonly positionals: number;
  readonly serverOptions: ServerOptions;
  /** The last word belongs to the command that `run` starts. */
  readonly isForeign: boolean;
}

/** The commands that only act on jobs that have not ended. */
const FOR_RUNNING = ["cancel", "kill", "signal", "send", "resize"];
/** The commands that only act on jobs that have ended. */
const FOR_ENDED = ["rm"];

/**
 * Returns what the last of the words may be completed to. No server is started for it.
 * @param words what was typed after "procman"; the last one is incomplete, or ""
 */
export async function completions(
  program: Command,
  words: readonly string[],
  context: CommandContext,
): Promise<readonly Candidate[]> {
  const prefix = words.at(-1) ?? "";
  const typed = readWords(program, words.slice(0, -1));
  context.serverOptions = typed.serverOptions;
  const candidates = await candidatesFor(typed, prefix, context);
  return candidates.filter(({ value }) => value.startsWith(prefix));
}

function readWords(program: Command, words: readonly string[]): Typed {
  let command = program;
  let option: Option | undefined;
  let positionals = 0;
  let serverOptions: ServerOptions = {};
  let isForeign = false;
  for (const word of words) {
    if (option) {
      const name = option.attributeName();
      if (isServerOption(name)) serverOptions = { ...serverOptions, [name]: word };
      option = undefined;
    } else if (word === "--") {
      isForeign = command.name() === "run";
    } else if (word.startsWith("-")) {
      const given = optionOf(command, word);
      option = given?.required ? given : undefined;
    } else {
      const subcommand = command.commands.find(
        (each) => each.name() === word || each.aliases().includes(word),
      );
      if (subcommand) command = subcommand;
      else positionals += 1;
      if (positionals > 0 && command.name() === "run") isForeign = true;
    }
  }
  const args = command.registeredArguments;
  const last = args.at(-1);
  const argument = args[positionals] ?? (last?.variadic ? last : undefined);
  return { command, option, argument, positionals, serverOptions, isForeign };
}

function optionOf(command: Command, word: string): Option | undefined {
  return command.options.find(({ short, long }) => word === short || word === long);
}

async function candidatesFor(
  { command, option, argument, positionals, isForeign }: Typed,
  prefix: string,
  context: CommandContext,
): Promise<Candidate[]> {
  if (isForeign) return [];
  if (option) return valuesOf(option, context);
  const help = command.createHelp();
  if (prefix.startsWith("-")) {
    return help.visibleOptions(command).flatMap(({ long, short, description }) => {
      const value = long ?? short;
      return value === undefined ? [] : [{ value, about: description }];
    });
  }
  if (command.commands.length > 0) {
    return help
      .visibleCommands(command)
      .map((each) => ({ value: each.name(), about: each.description() }));
  }
  switch (argument?.name()) {
    case "id": {
      const ids = await jobIds(command.name(), context);
      return command.name() === "signal" && positionals > 0 ? [...ids, ...signals()] : ids;
    }
    case "shell":
      return plain(argument.argChoices ?? []);
    default:
      return [];
  }
}

async function valuesOf(option: Option, context: CommandContext): Promise<Candidate[]> {
  switch (option.attributeName()) {
    case "status":
      return plain(STATUSES);
    case "stream":
      return plain(STREAMS);
    case "output":
      return plain(LIST_FORMS);
    case "signal":
      return signals();
    case "name":
      return plain((await newestJobs(context)).flatMap(({ name }) => name ?? []));
    case "label": {
      const jobs = await newestJobs(context);
      const labels = jobs.flatMap(({ labels }) => Object.entries(labels));
      return plain(labels.map(([key, value]) => `${key}=${value}`).filter(isWord));
    }
    default:
      return plain(option.argChoices ?? []);
  }
}

async function jobIds(commandName: string, context: CommandContext): Promise<Candidate[]> {
  const jobs = await newestJobs(context);
  const wanted = jobs.filter((job) => {
    if (FOR_RUNNING.includes(commandName)) return !isTerminal(job);
    return !FOR_ENDED.includes(commandName) || isTerminal(job);
  });
  // The jobs come newest first, and a name stands for the newest of its own.
  const isNamed = (job: Job) => jobs.find(({ name }) => name === job.name) === job;
  const names = wanted.flatMap((job) =>
    job.name !== undefined && isNamed(job) ? [{ value: job.name, about: aboutJob(job) }] : [],
  );
  return [...names, ...wanted.map((job) => ({ value: job.id, about: aboutJob(job) }))];
}

function aboutJob(job: Job): string {
  return `${job.status}: ${commandLine(job)}`;
}

/** Returns none where no server runs, or it cannot be asked: a shell shows no errors. */
async function newestJobs(context: CommandContext): Promise<readonly Job[]> {
  let jobs: readonly Job[] = [];
  const ask = context.withClient(
    async (client) => {
      ({ jobs } = await client.list({ pageSize: 100 }));
    },
    { startsServer: false },
  );
  await ask.catch(() => {});
  return jobs;
}

function signals(): Candidate[] {
  return plain(Object.keys(constants.signals).map((name) => name.slice("SIG".length)));
}

function plain(values: readonly string[]): Candidate[] {
  return [...new Set(values)].map((value) => ({ value, about: "" }));
}

/** A label with spaces or the like would need quotes, each shell's own. */
function isWord(text: string): boolean {
  return /^\S+$/.test(text) && printable(text) === text;
}
