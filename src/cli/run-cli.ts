import { Command, CommanderError } from "commander";
import type { Cli } from "./cli.js";
import { checkArguments } from "./command-line-bytes.js";
import { ALIASES, COMMANDS, HIDDEN_COMMANDS, HINTS } from "./command-names.js";
import { CommandContext } from "./commands/command-context.js";
import { addServerOptions, isServerOption, type ServerOptions } from "./commands/options.js";
import { CliError, EXIT, EXIT_CODES_HELP, failureExitCode, usageExitCode } from "./exit-codes.js";
import { failureText } from "./failure-text.js";
import { version } from "./server-file.js";
import { OutputClosed } from "./terminal/output.js";

const EXAMPLES = `
Examples:
  procman run -- make -j8            start make and follow its output
  procman run -d -- ./train.sh       start it and print the id of the job
  procman ls --status running        list the jobs that run
  procman attach k3x                 follow the output of job k3x
  procman wait k3x && echo done      wait for its end, and exit as it did
  procman cancel k3x                 end it

In place of a job's id, commands take the first letters of it, as long as no other id
begins so, the name that "run --name" has given it, or --last: the job started last.
A command that needs a server starts one in the background. "procman stop" ends the
server, and no job.`;

/** Those after them are the last ones of a command's arguments, or of the ids of jobs. */
const MAX_PARSED_WORDS = 10_000;

/**
 * Runs one command line (without the program's own name).
 * @returns the exit code; what there is to say has been written
 */
export async function runCli(args: readonly string[], cli: Cli): Promise<number> {
  const context = new CommandContext(cli);
  try {
    const [first, ...rest] = args;
    if (first === "complete" && rest[0] === "--") return await complete(rest.slice(1), context);
    if (first === "man-page" && rest.length === 0) return await printManPage(context);
    const words = isVersion(args) ? ["--version"] : args;
    const program = await createProgram(words, context);
    // Commander passes all words as arguments of one call, which the stack limits.
    context.restOfWords = words.slice(MAX_PARSED_WORDS);
    await program.parseAsync(words.slice(0, MAX_PARSED_WORDS), { from: "user" });
    await cli.stdout.flush();
    await cli.stderr.flush();
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return exitOfCommander(error, context);
    return reportError(error, context);
  }
}

/** Answers a shell: see `commands/completion.ts`. */
async function complete(words: readonly string[], context: CommandContext): Promise<number> {
  const { completions } = await import("./completion.js");
  // A first word that is incomplete may be a whole command's name, too.
  const program = await createProgram(words.length > 1 ? words : [], context);
  const candidates = await completions(program, words, context);
  const { stdout } = context.cli;
  await stdout.lines(candidates.map(({ value, about }) => `${value}\t${about}`));
  return EXIT.ok;
}

/** Prints the manual page, for the build of the package. */
async function printManPage(context: CommandContext): Promise<number> {
  const { manPage } = await import("./man-page.js");
  await context.cli.stdout.write(manPage(await createProgram([], context), version()));
  return EXIT.ok;
}

/** Commander has one short form of an option. */
function isVersion([first, ...rest]: readonly string[]): boolean {
  return rest.length === 0 && (first === "-v" || first === "version");
}

/** Makes a program of the command that is named first, or else of all of them. */
async function createProgram(args: readonly string[], context: CommandContext): Promise<Command> {
  const [first = ""] = args;
  const program = new Command("procman")
    .description("Start commands that run on without you, and come back to them from anywhere.")
    // The words after `run`'s command are the command's.
    .enablePositionalOptions()
    .addHelpText("after", `${EXAMPLES}\n${EXIT_CODES_HELP}`)
    .hook("preAction", (_program, command) => {
      context.commandName = command.name();
      checkArguments(args, context.cli.raw);
      context.serverOptions = serverOptionsOf(command);
    });
  const name = ALIASES.get(first) ?? first;
  const isKnown = COMMANDS.has(name) || HINTS.has(name);
  if (!isKnown) program.version(version(), "-V, --version");
  const isNamed = (each: string) => !isKnown || each === name;
  const loads = [...COMMANDS].flatMap(([each, load]) => (isNamed(each) ? [load()] : []));
  for (const create of await Promise.all(loads)) {
    const command = create(context);
    program.addCommand(command, { hidden: HIDDEN_COMMANDS.has(command.name()) });
  }
  for (const command of program.commands) {
    for (const [alias, of] of ALIASES) if (of === command.name()) command.alias(alias);
  }
  for (const [word, hint] of HINTS) {
    if (isNamed(word)) program.addCommand(hintCommand(word, hint), { hidden: true });
  }
  prepare(program, context, { isProgram: true });
  return program;
}

function prepare(
  command: Command,
  context: CommandContext,
  { isProgram = false }: { readonly isProgram?: boolean } = {},
): void {
  addServerOptions(command, { showsAll: isProgram });
  throwErrors(command, context);
  for (const each of command.commands) prepare(each, context);
}

/** Returns what the command line gives: of each option the one nearest to the last command. */
function serverOptionsOf(command: Command | null): ServerOptions {
  if (command === null) return {};
  const given = Object.entries(command.opts()).filter(([name]) => isServerOption(name));
  return { ...serverOptionsOf(command.parent), ...Object.fromEntries(given) };
}

/** A command that says what to type instead. */
function hintCommand(word: string, hint: string): Command {
  return new Command(word)
    .argument("[words...]")
    .allowUnknownOption()
    .helpOption(false)
    .action(() => {
      throw new CliError(`there is no "procman ${word}": ${hint}`, { exitCode: EXIT.usage });
    });
}

/** Has commander write to the CLI's streams, and throw where it would end the process. */
function throwErrors(command: Command, context: CommandContext): void {
  const { stdout, stderr } = context.cli;
  const rethrow = (error: CommanderError) => {
    context.commandName = command.name();
    throw error;
  };
  // Its own usage, where it has one, tells less than its arguments: some are there for a hint only.
  const subcommandTerm = (each: Command) =>
    [[each.name(), ...each.aliases().slice(0, 1)].join("|"), each.usage()].join(" ");
  command.configureHelp({ subcommandTerm });
  command.exitOverride(rethrow).configureOutput({
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    outputError: (text, write) => write(commanderText(text)),
    getOutHelpWidth: () => Math.min(stdout.width, 100),
    getErrHelpWidth: () => Math.min(stderr.width, 100),
  });
}

/** Returns an error of commander's in this program's words. It may end with what is similar. */
function commanderText(text: string): string {
  return text
    .replace(/^error: /, "procman: ")
    .replace(/^(procman: unknown command '[^\n]*')\n$/, '$1; "procman --help" lists them all\n')
    .replace(
      /^(procman: too many arguments for '(?:logs|tail|watch)'[^\n]*)\n$/,
      '$1 "procman attach ID..." shows several jobs.\n',
    );
}

/** Returns the exit code where commander has written its message, or the help. */
async function exitOfCommander(
  { exitCode }: CommanderError,
  context: CommandContext,
): Promise<number> {
  if (exitCode !== 0) return usageExitCode(context.commandName);
  try {
    await context.cli.stdout.flush();
    return EXIT.ok;
  } catch (error) {
    // The help could not be written: no command was run.
    context.commandName = undefined;
    return reportError(error, context);
  }
}

/** Writes one line that says what went wrong. @returns the exit code */
async function reportError(failure: unknown, context: CommandContext): Promise<number> {
  if (failure instanceof OutputClosed) return EXIT.ok;
  const { stderr } = context.cli;
  const prefix = stderr.paint("red", "procman:");
  await stderr.line(`${prefix} ${failureText(failure)}`).catch(() => {});
  return failureExitCode(failure, context.commandName);
}
