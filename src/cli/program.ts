import { createRequire } from "node:module";
import { Command } from "commander";
import type { Cli } from "./cli.js";
import type { CommandContext } from "./commands/command-context.js";
import { attachCommand } from "./commands/attach.js";
import { cancelCommand } from "./commands/cancel.js";
import { cleanupCommand } from "./commands/cleanup.js";
import { getCommand } from "./commands/get.js";
import { lsCommand } from "./commands/ls.js";
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
import { EXIT_CODES_HELP } from "./exit-codes.js";
import { addStateDirOption, type StateDirOption, stateDirOf } from "./state-dir.js";

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

/** The whole command line. @param exit takes the exit code of the command that ran. */
export function createProgram(cli: Cli, exit: (code: number) => void): Command {
  const program = new Command("procman")
    .description("Start long-running commands that outlive everything, and come back to them.")
    .version(version(), "-V, --version")
    // The words after `run`'s command are the command's.
    .enablePositionalOptions()
    .addHelpText("after", `${EXAMPLES}\n${EXIT_CODES_HELP}`);
  addStateDirOption(program);

  const context: CommandContext = {
    cli,
    exit,
    stateDirOption: (option) => option ?? program.opts<StateDirOption>().stateDir,
    stateDir: (option) => stateDirOf(context.stateDirOption(option), cli),
  };
  for (const make of COMMANDS) program.addCommand(addStateDirOption(make(context)));
  for (const command of [program, ...program.commands]) sayThrough(command, cli);
  return program;
}

/** Errors are thrown, after commander has said them. */
function sayThrough(command: Command, cli: Cli): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void cli.stdout.write(text),
    writeErr: (text) => void cli.stderr.write(text),
    outputError: (text, write) => write(text.replace(/^error: /, "procman: ")),
    getOutHelpWidth: () => Math.min(cli.stdout.width, 100),
    getErrHelpWidth: () => Math.min(cli.stderr.width, 100),
  });
}

function version(): string {
  const require = createRequire(import.meta.url);
  return (require("procman/package.json") as { version: string }).version;
}
