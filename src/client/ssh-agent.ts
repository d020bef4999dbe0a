import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Agent, type AgentOptions } from "node:http";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../platform/errno.js";
import { quoted } from "../platform/shell-word.js";

/** A user's account on another machine, and there a server. */
export interface SshTarget {
  readonly host: string;
  readonly user?: string;
  readonly port?: string;
  /** The server's state directory there. Default: that account's own. */
  readonly stateDir?: string;
}

export interface SshAgentOptions extends AgentOptions {
  readonly target: SshTarget;
  /** More words for `procman dial-stdio` there. */
  readonly dialOptions?: readonly string[];
}

/** As long as an unreachable machine is waited for. */
const CONNECT_TIMEOUT_SECONDS = 30;
/** A master connection that ssh leaves in background holds its stderr open. */
const LAST_WORDS_TIMEOUT_MS = 200;
const MAX_WORDS_CHARS = 8192;

/** What a shell exits with that did not find the command. */
const EXIT_NOT_FOUND = 127;
/** What ssh exits with where it failed itself. */
const EXIT_SSH_FAILED = 255;
/** What `procman dial-stdio --no-start` exits with where no server runs. */
const EXIT_NO_SERVER = 3;
/** What ssh says where the next attempt would fail the same way. */
const LASTING_WORDS =
  /host key|permission denied|could not resolve|bad (?:configuration|owner)|too many authentication/i;

/**
 * Parses "ssh://user@host:22/state/dir", of which the host alone is needed.
 * @returns undefined where it is none; ssh takes no passwords this way
 */
export function parseSshUrl(text: string): SshTarget | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "ssh:" || url.hostname === "") return undefined;
  if (url.password !== "" || url.search !== "" || url.hash !== "") return undefined;
  try {
    const [host, user, path] = [url.hostname, url.username, url.pathname].map(decodeURIComponent);
    // One that begins so would be an option of ssh's.
    if (host === undefined || host.startsWith("-") || user?.startsWith("-")) return undefined;
    return {
      host: host.replace(/^\[(.*)\]$/, "$1"),
      ...(user ? { user } : {}),
      ...(url.port === "" ? {} : { port: url.port }),
      ...(path && path !== "/" ? { stateDir: path } : {}),
    };
  } catch {
    return undefined;
  }
}

/** Makes each connection by an ssh(1) of its own, which talks to the server's socket there. */
export class SshAgent extends Agent {
  readonly #words: readonly string[];
  readonly #host: string;

  constructor({ target, dialOptions = [], ...options }: SshAgentOptions) {
    super(options);
    this.#words = sshWords(target, dialOptions);
    this.#host = target.host;
  }

  override createConnection(): ReturnType<Agent["createConnection"]> {
    return new SshConnection(this.#words, this.#host);
  }
}

/** Returns the arguments of ssh(1). */
export function sshWords(target: SshTarget, dialOptions: readonly string[] = []): string[] {
  const { host, user, port, stateDir } = target;
  const command = ["procman", "dial-stdio", ...dialOptions];
  if (stateDir !== undefined) command.push("--state-dir", quoted(stateDir));
  const words = [
    "-T",
    "-o",
    `ConnectTimeout=${CONNECT_TIMEOUT_SECONDS}`,
    "-o",
    "RemoteCommand=none",
  ];
  if (user !== undefined) words.push("-l", user);
  if (port !== undefined) words.push("-p", port);
  return [...words, "--", host, command.join(" ")];
}

/** The streams of an ssh, as the socket that an agent takes them for. */
class SshConnection extends Duplex {
  readonly #host: string;
  readonly #child: ChildProcessWithoutNullStreams;
  /** Whether the server has answered. Until then what ssh says is why it has not. */
  #hasAnswered = false;
  #words = "";

  constructor(words: readonly string[], host: string) {
    super({ allowHalfOpen: false });
    this.#host = host;
    // A session of its own: Ctrl-C, which leaves a job, must not end it, and a question on
    // the terminal would come into the middle of a job's output.
    this.#child = spawn("ssh", words, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    const { stdin, stdout, stderr } = this.#child;
    // Its exit tells why.
    for (const stream of [stdin, stdout, stderr]) stream.on("error", () => {});
    stdout.on("data", (data: Buffer) => {
      this.#hasAnswered = true;
      if (!this.push(data)) stdout.pause();
    });
    stderr.on("data", (data: Buffer) => {
      this.#words = (this.#words + data.toString()).slice(-MAX_WORDS_CHARS);
    });
    this.#child.once("error", (error) => this.destroy(this.#spawnFailure(error)));
    this.#child.once("exit", (code, signal) => void this.#onExit(code ?? signal));
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(data: Buffer, _encoding: string, done: () => void): void {
    this.#child.stdin.write(data, (error) => {
      // Else its exit is about to tell why not.
      if (!error) done();
    });
  }

  override _final(done: () => void): void {
    this.#child.stdin.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
    this.#child.kill();
    this.#child.unref();
    done(error);
  }

  /* What agents, requests and Connect ask of a socket. */

  /** It may be written to from the start. */
  get readyState(): string {
    return this.destroyed ? "closed" : "open";
  }

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    this.#child.ref();
    for (const stream of this.#handles()) stream.ref?.();
    return this;
  }

  /** An idle connection must not keep the process alive. */
  unref(): this {
    this.#child.unref();
    for (const stream of this.#handles()) stream.unref?.();
    return this;
  }

  #handles(): { ref?(): unknown; unref?(): unknown }[] {
    const { stdin, stdout, stderr } = this.#child;
    return [stdin, stdout, stderr] as unknown as { ref?(): unknown; unref?(): unknown }[];
  }

  async #onExit(end: number | NodeJS.Signals | null): Promise<void> {
    const { stdout, stderr } = this.#child;
    const ended = [stdout, stderr].map(
      (stream) =>
        new Promise<void>((resolve) => {
          if (stream.readableEnded || stream.destroyed) resolve();
          else stream.once("end", resolve).once("close", resolve);
        }),
    );
    if (this.#hasAnswered) {
      // What has come is still read, no faster than it is asked for.
      await ended[0];
      this.push(null);
      return;
    }
    await Promise.race([
      Promise.all(ended),
      sleep(LAST_WORDS_TIMEOUT_MS, undefined, { ref: false }),
    ]);
    // It may have answered just before it ended.
    if (this.#hasAnswered) return void this.push(null);
    this.destroy(this.#exitFailure(end));
  }

  #spawnFailure(cause: Error): Error {
    const why = hasCode(cause, "ENOENT") ? "there is no ssh on this machine's PATH" : cause.message;
    return failure(why, "ERR_SSH_COMMAND", cause);
  }

  #exitFailure(end: number | NodeJS.Signals | null): Error {
    const said = this.#words.trim().split("\n").at(-1)?.trim() ?? "";
    switch (end) {
      case EXIT_NOT_FOUND:
        return failure(
          `ssh finds no procman on ${this.#host}; "ssh ${this.#host} procman --version" has to work`,
          "ERR_SSH_COMMAND",
        );
      case EXIT_NO_SERVER:
        return failure(withoutName(said) || "no server runs there", "ERR_SSH_NO_SERVER");
      case EXIT_SSH_FAILED: {
        const why = `ssh: ${said.replace(/^ssh: /, "") || "it failed and does not say why"}`;
        return failure(why, LASTING_WORDS.test(this.#words) ? "ERR_SSH_COMMAND" : "ECONNRESET");
      }
      default:
        if (/unknown command '?dial-stdio/.test(this.#words)) {
          return failure(`procman on ${this.#host} is too old for this`, "ERR_SSH_COMMAND");
        }
        return failure(
          withoutName(said) || `"procman dial-stdio" on ${this.#host} ended with ${end}`,
          typeof end === "number" ? "ERR_SSH_COMMAND" : "ECONNRESET",
        );
    }
  }
}

function failure(message: string, code: string, cause?: Error): Error {
  return Object.assign(new Error(message, { cause }), { code });
}

function withoutName(line: string): string {
  return line.replace(/^procman: /, "");
}
