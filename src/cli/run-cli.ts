import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import type { Cli } from "./cli.js";
import { checkArguments } from "./command-line-bytes.js";
import { CommandContext } from "./commands/command-context.js";
import { addStateDirOption, type StateDirOption } from "./commands/options.js";
import { EXIT, EXIT_CODES_HELP, failureExitCode, usageExitCode } from "./exit-codes.js";
import { printable } from "./format/printable.js";
import { OutputClosed } from "./terminal/output.js";

const EXAMPLES = `
Examples:
  procman run -- make -j8            start make, follow its output
  procman run -d -- ./train.sh       start it, print its id
  procman ls --status running        what runs
  procman attach k3x                 follow the job whose id begins with k3x
  procman wait k3x && echo done      until it has ended, with its exit code
  procman cancel k3x                 end it

A server is started in the background where none runs; "procman stop" ends it,
and no job with it. Job ids can be shortened as long as they are unique.`;

type CreateCommand = (context: CommandContext) => Command;

/** In the order of the help. Each is loaded when it is used, since most of a start is loading. */
const COMMANDS: Readonly<Record<string, () => Promise<CreateCommand>>> = {
  run: async () => (await import("./commands/run.js")).runCommand,
  ls: async () => (await import("./commands/ls.js")).lsCommand,
  get: async () => (await import("./commands/get.js")).getCommand,
  attach: async () => (await import("./commands/attach.js")).attachCommand,
  watch: async () => (await import("./commands/watch.js")).watchCommand,
  wait: async () => (await import("./commands/wait.js")).waitCommand,
  send: async () => (await import("./commands/send.js")).sendCommand,
  resize: async () => (await import("./commands/resize.js")).resizeCommand,
  signal: async () => (await import("./commands/signal.js")).signalCommand,
  cancel: async () => (await import("./commands/cancel.js")).cancelCommand,
  rm: async () => (await import("./commands/rm.js")).rmCommand,
  cleanup: async () => (await import("./commands/cleanup.js")).cleanupCommand,
  refresh: async () => (await import("./commands/refresh.js")).refreshCommand,
  serve: async () => (await import("./commands/serve.js")).serveCommand,
  stop: async () => (await import("./commands/stop.js")).stopCommand,
  token: async () => (await import("./commands/token.js")).tokenCommand,
};

/** Those after them are the last ones of a command's arguments, or of the ids of jobs. */
const MAX_PARSED_WORDS = 10_000;

/**
 * Runs one command line (without the program's own name).
 * @returns the exit code; what there is to say has been written
 */
export async function runCli(args: readonly string[], cli: Cli): Promise<number> {
  const context = new CommandContext(cli);
  try {
    checkArguments(args, cli.raw);
    const program = await createProgram(args, context);
    // Commander passes all words as arguments of one call, which the stack limits.
    context.restOfWords = args.slice(MAX_PARSED_WORDS);
    await program.parseAsync(args.slice(0, MAX_PARSED_WORDS), { from: "user" });
    await cli.stdout.flush();
    await cli.stderr.flush();
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return exitOfCommander(error, context);
    return reportError(error, context);
  }
}

/** Makes a program of the command that is named first, or else of all of them. */
async function createProgram(
  [first = ""]: readonly string[],
  context: CommandContext,
): Promise<Command> {
  const named = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  const loads = named ? [named] : Object.values(COMMANDS);
  const creates = await Promise.all(loads.map((load) => load()));
  const program = new Command("procman")
    .description("Start long-running commands that outlive everything, and come back to them.")
    // The words after `run`'s command are the command's.
    .enablePositionalOptions()
    .addHelpText("after", `${EXAMPLES}\n${EXIT_CODES_HELP}`)
    .hook("preAction", (_program, command) => {
      context.commandName = command.name();
      const { stateDir } = command.opts<StateDirOption>();
      context.stateDirOption = stateDir ?? program.opts<StateDirOption>().stateDir;
    });
  if (!named) program.version(version(), "-V, --version");
  for (const create of creates) program.addCommand(create(context));
  for (const command of [program, ...program.commands]) {
    addStateDirOption(command);
    throwErrors(command, context);
  }
  return program;
}

/** Has commander write to the CLI's streams, and throw where it would end the process. */
function throwErrors(command: Command, context: CommandContext): void {
  const { stdout, stderr } = context.cli;
  const rethrow = (error: CommanderError) => {
    context.commandName = command.name();
    throw error;
  };
  command.exitOverride(rethrow).configureOutput({
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    outputError: (text, write) => write(text.replace(/^error: /, "procman: ")),
    getOutHelpWidth: () => Math.min(stdout.width, 100),
    getErrHelpWidth: () => Math.min(stderr.width, 100),
  });
}

function version(): string {
  const require = createRequire(import.meta.url);
  return (require("procman/package.json") as { version: string }).version;
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
  const message = failure instanceof Error ? failure.message : String(failure);
  const { stderr } = context.cli;
  const prefix = stderr.paint("red", "procman:");
  await stderr.line(`${prefix} ${printable(message)}`).catch(() => {});
  return failureExitCode(failure, context.commandName);
}
