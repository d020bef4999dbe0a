import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { replaceFile } from "../platform/durable-file.js";
import { readOwnFile } from "../platform/own-file.js";

/** What a server says about itself, for `procman status`. */
export interface ServerInfo {
  readonly pid: number;
  readonly version: string;
  readonly startTime: string;
  readonly socketPath: string;
  /** The TCP addresses that it listens on: "http://127.0.0.1:7420". */
  readonly addresses: readonly string[];
  /** The port that it was to listen on and another process has. */
  readonly takenPort?: number;
  /** Which ended jobs it removes without being asked. */
  readonly retainAgeMs?: number;
  readonly retainBytes?: number;
}

/** Returns the version of this package. */
export function version(): string {
  const require = createRequire(import.meta.url);
  return (require("procman/package.json") as { version: string }).version;
}

/** Writes it whole or not at all. It is not synced: after a power cut no server runs. */
export function writeServerInfo(stateDir: string, info: ServerInfo): void {
  replaceFile(pathIn(stateDir), `${JSON.stringify(info)}\n`);
}

/** Removes what a server with that pid has written; another one's is left. */
export function removeServerInfo(stateDir: string, pid: number): void {
  if (readServerInfo(stateDir, pid)) rmSync(pathIn(stateDir), { force: true });
}

/** Returns undefined where the process with that pid has not written any. */
export function readServerInfo(stateDir: string, pid: number): ServerInfo | undefined {
  try {
    const info = JSON.parse(readOwnFile(pathIn(stateDir))) as ServerInfo;
    return info.pid === pid ? info : undefined;
  } catch {
    // A server that has just started, or one of an earlier version.
    return undefined;
  }
}

function pathIn(stateDir: string): string {
  return join(stateDir, "server.json");
}
