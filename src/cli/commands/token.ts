import { existsSync } from "node:fs";
import { Command } from "commander";
import { makePrivateDirs } from "../../platform/own-dir.js";
import { NoStateDirError, requireOwnStateDir } from "../ensure-server.js";
import { tokenPathIn } from "../../platform/default-state-dir.js";
import type { CommandContext } from "./command-context.js";

const HELP = `
Clients over TCP send the header "authorization: Bearer <token>". A running server
uses a new token within a second, and then refuses the old one.

With --header the token is printed as that header, for programs that read headers
from stdin or a file. On a command line, every user of the machine could see it.

Examples:
  procman token
  procman token --rotate
  procman token --header | curl -H @- http://127.0.0.1:7420/procman.v1.ProcmanService/...`;

interface TokenOptions {
  readonly rotate?: boolean;
  readonly header?: boolean;
}

export function tokenCommand(context: CommandContext): Command {
  return new Command("token")
    .description("show the token that clients over TCP need, or make a new one")
    .option("--rotate", "make a new token; the old one is no longer valid")
    .option("--header", "print it as an HTTP header, for curl -H @-")
    .addHelpText("after", HELP)
    .action(async ({ rotate, header }: TokenOptions) => {
      const { loadAccessToken, rotateAccessToken } = await import(
        "../../server/access/access-token.js"
      );
      const { stateDir } = context;
      requireOwnStateDir(stateDir);
      if (context.hasDefaultStateDir) makePrivateDirs(stateDir);
      else if (!existsSync(stateDir)) throw new NoStateDirError(stateDir);
      const path = tokenPathIn(stateDir);
      const token = rotate ? await rotateAccessToken(path) : await loadAccessToken(path);
      await context.cli.stdout.line(header ? `Authorization: Bearer ${token}` : token);
    });
}
