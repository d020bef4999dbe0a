import { Command } from "commander";
import { ProcmanError } from "../../contract/errors.js";
import type { McpHost } from "../../mcp/mcp-host.js";
import { defined } from "../../platform/defined.js";
import { isTransient } from "../../wire/error-map.js";
import { startAsCaller } from "../caller-attributes.js";
import { version } from "../server-file.js";
import type { CommandContext } from "./command-context.js";
import { type KeyValues, parseKeyValue } from "./options.js";
import { startRequest } from "./start-request.js";

interface McpOptions {
  readonly label?: KeyValues;
}

/** How long the client itself tries again: after that, a server is started where none runs. */
const GIVE_UP_AFTER_MS = 500;

const HELP = `
Coding agents start this program themselves: it is for their configuration, and of no use
on a terminal. It ends with its stdin; the jobs go on. Jobs run with the environment, in the
directory and with the limits that the agent starts it with.

Examples:
  claude mcp add procman -- procman mcp
  codex mcp add procman -- procman mcp --label project=shop

docs/agents.md has the configuration for other agents.`;

export function mcpCommand(context: CommandContext): Command {
  const { cli } = context;
  return new Command("mcp")
    .description("serve coding agents: the Model Context Protocol over stdin and stdout")
    .option(
      "-l, --label <key=value>",
      "a label for every job that is started; may be given several times",
      parseKeyValue,
    )
    .addHelpText("after", HELP)
    .action(async ({ label = {} }: McpOptions) => {
      const isRemote = context.host !== undefined;
      const host: McpHost = {
        version: version(),
        labels: label,
        connect: () =>
          context.connect({ makesStateDir: true, reconnect: { giveUpAfterMs: GIVE_UP_AFTER_MS } }),
        isConnectionLost: (error) => error instanceof ProcmanError && isTransient(error),
        start: (client, { command, args = [], timeoutMs, leaseMs, labels, pty, ...rest }) => {
          const given = defined({ label: labels, timeout: timeoutMs, lease: leaseMs, tty: pty });
          const options = { ...rest, ...given, isRemote };
          const request = startRequest([command, ...args], options, cli);
          // Of this process's, nothing fits another machine.
          return isRemote ? client.start(request) : startAsCaller(client, request, {}, cli);
        },
        input: (signal) => cli.stdin.pieces(signal),
        send: (text) => cli.stdout.write(text),
        warn: (message) => void cli.stderr.line(`procman: ${message}`).catch(() => {}),
      };
      const { serveMcp } = await import("../../mcp/serve-mcp.js");
      await serveMcp(host);
    });
}
