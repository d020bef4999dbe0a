import { Command } from "commander";
import { type CommandContext, withClient } from "./command-context.js";
import { pumpInput } from "../terminal/pump-input.js";
import { resolveJobId } from "./find-jobs.js";
import type { StateDirOption } from "../state-dir.js";

interface SendOptions extends StateDirOption {
  readonly close?: boolean;
}

const HELP = `
The job has to have been started with its input open: "procman run -d -i". What
was sent comes to it in order and once, also when the server restarts meanwhile.

Examples:
  echo yes | procman send k3x
  procman send --close k3x < data.csv
  procman send --close k3x < /dev/null     nothing more: the end of its input`;

/** Sends what it reads to a job. */
export function sendCommand(context: CommandContext): Command {
  return new Command("send")
    .description("send what is read from stdin to a job's input")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("--close", "close the job's input afterwards")
    .addHelpText("after", HELP)
    .action(async (given: string, options: SendOptions) => {
      const { close = false, stateDir } = options;
      const { stdin } = context.cli;
      const { signal } = new AbortController();
      await withClient(context, stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        // A job that takes none is told of before anything is typed.
        await client.sendInput(id, {});
        await pumpInput(client, id, (signal) => stdin.pieces(signal), { close, signal });
      });
    });
}
