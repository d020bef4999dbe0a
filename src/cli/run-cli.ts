import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import type { Cli } from "./cli.js";
import { attachCommand } from "./commands/attach.js";
import { cancelCommand } from "./commands/cancel.js";
import { cleanupCommand } from "./commands/cleanup.js";
import { CommandContext } from "./commands/command-context.js";
import { getCommand } from "./commands/get.js";
import { lsCommand } from "./commands/ls.js";
import { addStateDirOption, type StateDirOption } from "./commands/options.js";
import { refreshCommand } from "./commands/refresh.js";
import { resizeCommand } from "./commands/resize.js";
import { rmCommand } from "./commands/rm.js";
import { runCommand } from "./commands/run.js";
import { sendCommand } from "./commands/send.js";
import { serveCommand } from "./commands/serve.js";
import { signalCommand } from "./commands/signal.js";
import { stopCommand } from "./commands/stop.js";
import { tokenCommand } from "./commands/token.js";
import { waitCommand } from "./commands/wait.js";
import { watchCommand } from "./commands/watch.js";
import { CliError, EXIT, EXIT_CODES_HELP } from "./exit-codes.js";
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

const COMMANDS: readonly ((context: CommandContext) => Command)[] = [
  runCommand,
  lsCommand,
  getCommand,
  attachCommand,
  watchCommand,
  waitCommand,
  sendCommand,
  resizeCommand,
  signalCommand,
  cancelCommand,
  rmCommand,
  cleanupCommand,
  refreshCommand,
  serveCommand,
  stopCommand,
  tokenCommand,
];

/**
 * Runs one command line (without the program's own name).
 * @returns the exit code; what there is to say has been written
 */
export async function runCli(args: readonly string[], cli: Cli): Promise<number> {
  const context = new CommandContext(cli);
  try {
    await createProgram(context).parseAsync(args, { from: "user" });
    await cli.stdout.flush();
    await cli.stderr.flush();
    return context.exitCode;
  } catch (error) {
    return reportError(error, cli);
  }
}

function createProgram(context: CommandContext): Command {
  const program = new Command("procman")
    .description("Start long-running commands that outlive everything, and come back to them.")
    .version(version(), "-V, --version")
    // The words after `run`'s command are the command's.
    .enablePositionalOptions()
    .addHelpText("after", `${EXAMPLES}\n${EXIT_CODES_HELP}`)
    .hook("preAction", (_program, command) => {
      const { stateDir } = command.opts<StateDirOption>();
      context.stateDirOption = stateDir ?? program.opts<StateDirOption>().stateDir;
    });
  for (const create of COMMANDS) program.addCommand(create(context));
  for (const command of [program, ...program.commands]) {
    addStateDirOption(command);
    throwErrors(command, context.cli);
  }
  return program;
}

/** Has commander write to the CLI's streams, and throw where it would end the process. */
function throwErrors(command: Command, { stdout, stderr }: Cli): void {
  command.exitOverride().configureOutput({
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

/** Writes one line that says what went wrong. @returns the exit code */
async function reportError(failure: unknown, { stderr }: Cli): Promise<number> {
  if (failure instanceof OutputClosed) return EXIT.ok;
  // Commander has written its message.
  if (failure instanceof CommanderError) return failure.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const message = failure instanceof Error ? failure.message : String(failure);
  const prefix = stderr.paint("red", "procman:");
  await stderr.line(`${prefix} ${printable(message)}`).catch(() => {});
  return failure instanceof CliError ? failure.exitCode : EXIT.error;
}
