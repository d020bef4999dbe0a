import type { Command } from "commander";
import type { CommandContext } from "./commands/command-context.js";

export type CreateCommand = (context: CommandContext) => Command;

/** In the order of the help. Each is loaded when it is used, since most of a start is loading. */
export const COMMANDS: ReadonlyMap<string, () => Promise<CreateCommand>> = new Map([
  ["run", async () => (await import("./commands/run.js")).runCommand],
  ["ls", async () => (await import("./commands/ls.js")).lsCommand],
  ["top", async () => (await import("./commands/top.js")).topCommand],
  ["get", async () => (await import("./commands/get.js")).getCommand],
  ["attach", async () => (await import("./commands/attach.js")).attachCommand],
  ["logs", async () => (await import("./commands/logs.js")).logsCommand],
  ["tail", async () => (await import("./commands/logs.js")).tailCommand],
  ["watch", async () => (await import("./commands/watch.js")).watchCommand],
  ["wait", async () => (await import("./commands/wait.js")).waitCommand],
  ["send", async () => (await import("./commands/send.js")).sendCommand],
  ["resize", async () => (await import("./commands/resize.js")).resizeCommand],
  ["signal", async () => (await import("./commands/signal.js")).signalCommand],
  ["cancel", async () => (await import("./commands/cancel.js")).cancelCommand],
  ["renew", async () => (await import("./commands/renew.js")).renewCommand],
  ["restart", async () => (await import("./commands/restart.js")).restartCommand],
  ["kill", async () => (await import("./commands/kill.js")).killCommand],
  ["rm", async () => (await import("./commands/rm.js")).rmCommand],
  ["cleanup", async () => (await import("./commands/cleanup.js")).cleanupCommand],
  ["refresh", async () => (await import("./commands/refresh.js")).refreshCommand],
  ["status", async () => (await import("./commands/status.js")).statusCommand],
  ["ui", async () => (await import("./commands/ui.js")).uiCommand],
  ["serve", async () => (await import("./commands/serve.js")).serveCommand],
  ["server", async () => (await import("./commands/server.js")).serverCommand],
  ["stop", async () => (await import("./commands/stop.js")).stopCommand],
  ["mcp", async () => (await import("./commands/mcp.js")).mcpCommand],
  ["completion", async () => (await import("./commands/completion.js")).completionCommand],
  ["token", async () => (await import("./commands/token.js")).tokenCommand],
  ["dial-stdio", async () => (await import("./commands/dial-stdio.js")).dialStdioCommand],
]);

/** Those for programs: no help lists them. */
export const HIDDEN_COMMANDS: ReadonlySet<string> = new Set(["dial-stdio"]);

/** What other programs call a command of ours. */
export const ALIASES: ReadonlyMap<string, string> = new Map([
  ["ps", "ls"],
  ["list", "ls"],
  ["jobs", "ls"],
  ["show", "get"],
  ["inspect", "get"],
  ["describe", "get"],
  ["log", "logs"],
  ["remove", "rm"],
  ["delete", "rm"],
  ["prune", "cleanup"],
]);

const LIVE = '"procman ls --watch" shows the jobs while they change';
const PAUSE = '"procman signal ID STOP" pauses a job, "procman signal ID CONT" has it go on';
const RUN = '"procman run -- COMMAND" starts a command';
const QUEUE = `${RUN} at once: procman has no queue`;
const END = '"procman cancel ID" ends a job; "procman server stop" ends the server, and no job';

/** What other programs can do, and no command of ours does alone: what to type instead. */
export const HINTS: ReadonlyMap<string, string> = new Map([
  ["monit", '"procman top" shows what the jobs use'],
  ["events", `${LIVE}; with --json it prints each change`],
  ["start", `${RUN}; "procman server start" starts the server`],
  ["exec", RUN],
  ["create", RUN],
  ["up", RUN],
  ["add", QUEUE],
  ["enqueue", QUEUE],
  ["follow", '"procman logs -f ID" follows the output of a job'],
  ["reload", '"procman restart ID" starts a job again; "procman signal ID HUP" has it reload'],
  ["pause", PAUSE],
  ["unpause", PAUSE],
  ["resume", PAUSE],
  ["terminate", END],
  ["shutdown", END],
  ["down", END],
  ["info", '"procman get ID" shows a job; "procman status" shows the server'],
  ["daemon", '"procman serve" runs the server in the foreground'],
]);
