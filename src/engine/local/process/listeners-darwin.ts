import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Listener } from "./process-table.js";

const run = promisify(execFile);

/** macOS: lsof(8). Only the parsing of its output is tested. */
export async function* listenersOnDarwin(
  port: number,
  pids: () => readonly number[],
): AsyncGenerator<Listener> {
  const members = pids();
  if (members.length === 0) return;
  const sockets = port === 0 ? "-iTCP" : `-iTCP:${port}`;
  // -nP: no name lookups; -a: all conditions must hold; -Fpn: output for programs.
  const args = ["-nP", "-a", "-p", members.join(","), sockets, "-sTCP:LISTEN", "-Fpn"];
  const { stdout } = await run("/usr/sbin/lsof", args, { env: { LC_ALL: "C" } }).catch(ifNone);
  yield* parseListeners(stdout);
}

/** Accepts exit code 1: lsof found nothing, or one of the processes is gone. */
function ifNone(error: unknown): { stdout: string } {
  const { code, stdout } = error as { code?: unknown; stdout?: string };
  if (code === 1 && stdout !== undefined) return { stdout };
  throw error;
}

/** Parses "p123", which begins a process, and its sockets: "n*:3000" or "n[::1]:3000". */
export function parseListeners(text: string): Listener[] {
  const listeners: Listener[] = [];
  let pid = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith("p")) pid = Number(line.slice(1));
    const port = /^n.*:(\d+)$/.exec(line)?.[1];
    if (port !== undefined) listeners.push({ pid, port: Number(port) });
  }
  return listeners;
}
