import { type ChildProcessByStdio, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import type { Readable, Writable } from "node:stream";
import type { Target } from "./conformance-client.js";

/** A program that makes one call, and ends with it or when the caller leaves. */
export function launch(
  program: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): ChildProcessByStdio<Writable, Readable, Readable> {
  // Not in a module of buf, whose schema it would take instead of asking the server.
  const child = spawn(program, args, { cwd: tmpdir(), stdio: "pipe" });
  child.stdin.on("error", () => {});
  signal?.addEventListener("abort", () => child.kill());
  return child;
}

/** How curl and buf curl are both told where to go. */
export function connectionWords({ socketPath, tls }: Target): string[] {
  if (socketPath !== undefined) return ["--unix-socket", socketPath];
  const words = tls ? ["--cacert", tls.ca] : [];
  if (tls?.cert !== undefined) words.push("--cert", tls.cert);
  if (tls?.key !== undefined) words.push("--key", tls.key);
  return words;
}
