import { join } from "node:path";
import { Command } from "commander";
import { makePrivateDirs } from "../../platform/own-dir.js";
import { requireOwnStateDir } from "../ensure-server.js";
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
      requireOwnStateDir(stateDir);
      makePrivateDirs(stateDir);
      const path = join(stateDir, "token");
      const token = rotate ? await rotateAccessToken(path) : await loadAccessToken(path);
      await context.cli.stdout.line(token);
    });
}
