import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import type { CommandContext } from "./command-context.js";

const HELP = `
Clients over TCP send it: "authorization: Bearer <token>". A server that runs
takes a new one into use within a second, and then refuses the old one.

Examples:
  procman token
  procman token --rotate`;

export function tokenCommand(context: CommandContext): Command {
  return new Command("token")
    .description("show the token that clients over TCP need, or replace it")
    .option("--rotate", "make a new one")
    .addHelpText("after", HELP)
    .action(async ({ rotate }: { readonly rotate?: boolean }) => {
      const { loadAccessToken, rotateAccessToken } = await import(
        "../../server/access/access-token.js"
      );
      const { stateDir } = context;
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      const path = join(stateDir, "token");
      const token = rotate ? await rotateAccessToken(path) : await loadAccessToken(path);
      await context.cli.stdout.line(token);
    });
}
