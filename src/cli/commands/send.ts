import { Command } from "commander";
import { pumpInput } from "../terminal/pump-input.js";
import type { CommandContext } from "./command-context.js";
import { addJobArgument, type LastOption } from "./job-argument.js";

interface SendOptions extends LastOption {
  readonly close?: boolean;
}

const HELP = `
The job must have been started with its input open: "procman run -d -i". It gets
what is sent once and in order, even if the server is restarted meanwhile.

Examples:
  echo yes | procman send k3x
  procman send --close k3x < data.csv
  procman send --close k3x < /dev/null     only close its input`;

export function sendCommand(context: CommandContext): Command {
  const { cli } = context;
  return addJobArgument(new Command("send").description("send stdin to the input of a job"))
    .option("--close", "then close the input of the job")
    .addHelpText("after", HELP)
    .action((given: string | undefined, { close = false, ...last }: SendOptions) =>
      context.withJob(given, last, async (client, id) => {
        // Fails for a job that takes no input, before anything is typed.
        await client.sendInput(id, {});
        const { signal } = new AbortController();
        await pumpInput(client, id, (signal) => cli.stdin.pieces(signal), { close, signal });
      }),
    );
}
