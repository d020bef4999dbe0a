import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import type { CommandContext } from "./command-context.js";
import type { StateDirOption } from "../state-dir.js";

const HELP = `
Clients over TCP send it: "authorization: Bearer <token>". A server that runs
takes a new one into use within a second, and then refuses the old one.

Examples:
  procman token
  procman token --rotate`;

/** Shows or replaces the token that TCP clients need. */
export function tokenCommand(context: CommandContext): Command {
  return new Command("token")
    .description("show the token that clients over TCP need, or replace it")
    .option("--rotate", "make a new one")
    .addHelpText("after", HELP)
    .action(async ({ rotate, stateDir }: StateDirOption & { readonly rotate?: boolean }) => {
      const { loadAccessToken, rotateAccessToken } = await import(
        "../../server/access/access-token.js"
      );
      const dir = context.stateDir(stateDir);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const path = join(dir, "token");
      const token = rotate ? await rotateAccessToken(path) : await loadAccessToken(path);
      await context.cli.stdout.line(token);
    });
}
