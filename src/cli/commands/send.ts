import { Command } from "commander";
import { pumpInput } from "../terminal/pump-input.js";
import type { CommandContext } from "./command-context.js";

const HELP = `
The job has to have been started with its input open: "procman run -d -i". What
was sent comes to it in order and once, also when the server restarts meanwhile.

Examples:
  echo yes | procman send k3x
  procman send --close k3x < data.csv
  procman send --close k3x < /dev/null     nothing more: the end of its input`;

export function sendCommand(context: CommandContext): Command {
  const { cli } = context;
  return new Command("send")
    .description("send what is read from stdin to a job's input")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("--close", "close the job's input afterwards")
    .addHelpText("after", HELP)
    .action((given: string, { close = false }: { readonly close?: boolean }) =>
      context.withJob(given, async (client, id) => {
        // Fails for a job that takes no input, before anything is typed.
        await client.sendInput(id, {});
        const { signal } = new AbortController();
        await pumpInput(client, id, (signal) => cli.stdin.pieces(signal), { close, signal });
      }),
    );
}
