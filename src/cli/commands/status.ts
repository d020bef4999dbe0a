import { Command } from "commander";
import type { Procman } from "../../contract/procman.js";
import { requireOwnStateDir } from "../ensure-server.js";
import { CliError, EXIT } from "../exit-codes.js";
import { byteCount, shortDuration } from "../format/job-facts.js";
import { printable } from "../format/printable.js";
import { readServerInfo, type ServerInfo } from "../server-file.js";
import type { RemoteHost } from "../remote-host.js";
import type { CommandContext } from "./command-context.js";
import type { JsonOption } from "./options.js";

const HELP = `
status starts no server. If none runs, it says so and exits with 3.

Examples:
  procman status
  procman status --json | jq -r '.addresses[]'`;

export function statusCommand(context: CommandContext): Command {
  return new Command("status")
    .description(
      "show the server: where it listens, its version, its jobs, the disk that their logs take",
    )
    .argument("[id]")
    .usage("[options]")
    .option("--json", "print a JSON object")
    .addHelpText("after", HELP)
    .action(async (id: string | undefined, options: JsonOption) => {
      if (id !== undefined) {
        const message = `"procman status" shows the server; to see job ${id}: procman get ${id}`;
        throw new CliError(message, { exitCode: EXIT.usage });
      }
      if (context.host) return showServer(context, options);
      const { stateDir } = context;
      requireOwnStateDir(stateDir);
      const { managerPid } = await import("../../manager-pid.js");
      if ((await managerPid(stateDir)) !== undefined) return showServer(context, options);
      context.exitCode = EXIT.noServer;
      const { stdout } = context.cli;
      await stdout.line(
        options.json
          ? JSON.stringify({ running: false, stateDir })
          : `no server runs for ${printable(stateDir)}; a command that needs one starts it`,
      );
    });
}

/** Prints what is known of the server that runs. */
export async function showServer(context: CommandContext, { json }: JsonOption): Promise<void> {
  const { cli, host } = context;
  const show = async (client: Procman) => {
    const all = await client.list({ pageSize: 1 });
    const running = await client.list({ pageSize: 1, statuses: ["pending", "running"] });
    const counts = { jobs: all.totalSize, runningJobs: running.totalSize };
    const { facts, lines } = host ? aboutHost(host) : await aboutOwn(context.stateDir);
    if (json) return cli.stdout.line(JSON.stringify({ running: true, ...facts, ...counts }));
    const jobs = `jobs:      ${counts.jobs} (${counts.runningJobs} running)`;
    await cli.stdout.lines([...lines, jobs]);
  };
  await context.withClient(show, { startsServer: false });
}

interface AboutServer {
  readonly facts: object;
  readonly lines: readonly string[];
}

function aboutHost({ url }: RemoteHost): AboutServer {
  return { facts: { host: url }, lines: [`server:    running, at ${printable(url)}`] };
}

async function aboutOwn(stateDir: string): Promise<AboutServer> {
  const [{ managerPid }, { logBytesIn }] = await Promise.all([
    import("../../manager-pid.js"),
    import("../../log-usage.js"),
  ]);
  const pid = await managerPid(stateDir);
  const info = pid === undefined ? undefined : readServerInfo(stateDir, pid);
  const logBytes = logBytesIn(stateDir);
  return {
    facts: { ...info, pid, stateDir, logBytes },
    lines: [
      `server:    running, version ${info?.version ?? "not known"}, pid ${pid}`,
      `up:        ${info ? upTime(info) : "not known"}`,
      `socket:    ${printable(info?.socketPath ?? "not known")}`,
      `TCP:       ${info ? tcpText(info) : "not known"}`,
      `state:     ${printable(stateDir)}`,
      `logs:      ${byteCount(logBytes)} on disk`,
      ...(info && retentionText(info) ? [`deletes:   ${retentionText(info)}`] : []),
    ],
  };
}

function upTime({ startTime }: ServerInfo): string {
  return shortDuration(Math.max(0, Date.now() - Date.parse(startTime)));
}

/** @returns "" where no job is deleted without being asked for */
function retentionText({ retainAgeMs, retainBytes }: ServerInfo): string {
  const limits = [
    ...(retainAgeMs === undefined ? [] : [`jobs that ended ${shortDuration(retainAgeMs)} ago`]),
    ...(retainBytes === undefined
      ? []
      : [`the oldest ended jobs while all logs take more than ${byteCount(retainBytes)}`]),
  ];
  return limits.join("; ");
}

function tcpText({ addresses, takenPort }: ServerInfo): string {
  if (takenPort !== undefined) return `none, since another process has port ${takenPort}`;
  return addresses.length === 0 ? "none" : addresses.join(", ");
}
