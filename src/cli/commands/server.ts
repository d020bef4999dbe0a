import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";
import { showServer, statusCommand } from "./status.js";
import { stopCommand } from "./stop.js";

const HELP = `
Other commands start a server in the background when they need one. To choose the
options of a server, run "procman serve".

Examples:
  procman server status
  procman server stop`;

const START_HELP = `
Example:
  procman server start`;

export function serverCommand(context: CommandContext): Command {
  return new Command("server")
    .description("start or stop the server, or show it")
    .addHelpText("after", HELP)
    .addCommand(startCommand(context))
    .addCommand(stopCommand(context))
    .addCommand(statusCommand(context));
}

function startCommand(context: CommandContext): Command {
  return new Command("start")
    .description("start the server in the background if none runs, and show it")
    .option("--json", "print a JSON object")
    .addHelpText("after", START_HELP)
    .action(async (options: JsonOption) => {
      // Of this machine: no other's is started from here.
      const { stateDir } = context;
      const server = await context.cli.connect({ stateDir }, { makesStateDir: true });
      await server.close();
      await showServer(context, options);
    });
}
