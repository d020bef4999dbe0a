import { Command, InvalidArgumentError } from "commander";
import { CliError } from "../exit-codes.js";
import { readServerInfo } from "../server-file.js";
import type { CommandContext } from "./command-context.js";

const HELP = `
The link opens the server's page in a browser on this machine. It can be used once, within
a minute. The browser then has a session, which ends 12 hours after its last use, a week
after its beginning, when you log out on the page, and with "procman token --rotate".

Behind a proxy, or from another machine, give the address by which the browser reaches
the server with --url.

Examples:
  procman ui
  procman ui --url https://jobs.example.com
  procman ui --end-sessions`;

interface UiOptions {
  readonly url?: string;
  readonly endSessions?: boolean;
}

export function uiCommand(context: CommandContext): Command {
  return new Command("ui")
    .description("print a link to the server's page, with all jobs and their output")
    .option("--url <url>", "the server's address, as the browser reaches it", parseUrl)
    .option("--end-sessions", "end the sessions of all browsers, and make no link")
    .addHelpText("after", HELP)
    .action(async ({ url, endSessions }: UiOptions) => {
      const { socketPathIn } = await import("../../platform/socket-path.js");
      const { askPageDoor } = await import("../ask-page-door.js");
      const { stateDir, cli } = context;
      const socketPath = socketPathIn(stateDir);
      // Starts the server where none runs.
      await context.withClient(async () => {}, { makesStateDir: true });
      if (endSessions) {
        type Answer = { readonly ended: number };
        const { ended } = await askPageDoor<Answer>(socketPath, "DELETE", "/ui/sessions");
        await cli.stdout.line(`ended ${ended === 1 ? "1 session" : `${ended} sessions`}`);
        return;
      }
      const base = url ?? (await serverUrl(stateDir));
      type Answer = { readonly secret: string };
      const { secret } = await askPageDoor<Answer>(socketPath, "POST", "/ui/links");
      await cli.stdout.line(`${base}#link=${secret}`);
      await cli.stderr.line("procman: the link can be used once, within a minute");
    });
}

/** Returns an address at which a browser on this machine reaches the server. */
async function serverUrl(stateDir: string): Promise<string> {
  const { managerPid } = await import("../../manager-pid.js");
  const pid = await managerPid(stateDir);
  const info = pid === undefined ? undefined : readServerInfo(stateDir, pid);
  if (!info) throw new CliError("it is not known where the server listens; give --url");
  const [address] = info.addresses;
  if (address !== undefined) return reachable(address);
  const why =
    info.takenPort === undefined
      ? "the server listens on no TCP port, and a browser needs one"
      : `a browser needs a TCP port, and another process has port ${info.takenPort}`;
  throw new CliError(
    `${why}; "procman stop" ends the server, and "PROCMAN_LISTEN=127.0.0.1:7421 procman ui" starts one on another port`,
  );
}

/** A server that listens on all addresses is reached at the loopback one. */
function reachable(address: string): string {
  return `${address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")}/`;
}

function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new InvalidArgumentError('It must be a URL such as "https://jobs.example.com".');
  }
  url.hash = "";
  url.search = "";
  return url.href.endsWith("/") ? url.href : `${url.href}/`;
}
