import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.js";
import { canConnect, freePort } from "./free-port.js";
import { MAIN } from "./test-server.js";

const SSHD = "/usr/sbin/sshd";

/** What is missing for one; undefined where nothing is. */
export function missingForSsh(): string | undefined {
  return existsSync(SSHD) ? undefined : `openssh-server, at ${SSHD}`;
}

/**
 * An sshd on a free port of 127.0.0.1, with keys, settings and files in a directory of the
 * test's. Who logs in finds the procman that was built, and a state directory of the test's.
 */
export class SshServer {
  readonly #dir: string;
  #child: ChildProcess | undefined;
  #port = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Without a user: the one that runs the test. */
  get url(): string {
    return `ssh://127.0.0.1:${this.#port}`;
  }

  get stateDir(): string {
    return join(this.#dir, "state");
  }

  /** The procman that is found over there. */
  get remoteProgram(): string {
    return join(this.#dir, "there/procman");
  }

  /** A PATH with an ssh that knows this server and has a key for it. */
  get clientPath(): string {
    return `${join(this.#dir, "here")}:${process.env["PATH"]}`;
  }

  /** A PATH with an ssh that has the key, and does not know the server. */
  get strangerPath(): string {
    return `${join(this.#dir, "stranger")}:${process.env["PATH"]}`;
  }

  async start(): Promise<void> {
    this.#port = await freePort();
    const file = (name: string) => join(this.#dir, name);
    for (const name of ["here", "there", "stranger"]) mkdirSync(file(name));
    for (const name of ["host", "user"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
    }
    symlinkSync(MAIN, this.remoteProgram);
    this.#writeSsh("here", "accept-new");
    this.#writeSsh("stranger", "yes");
    const path = `${file("there")}:${process.env["PATH"]}`;
    writeFileSync(
      file("sshd_config"),
      `ListenAddress 127.0.0.1:${this.#port}
      HostKey ${file("host")}
      AuthorizedKeysFile ${file("user.pub")}
      PidFile none
      UsePAM no
      StrictModes no
      PasswordAuthentication no
      KbdInteractiveAuthentication no
      SetEnv PATH=${path} PROCMAN_LISTEN=none PROCMAN_STATE_DIR=${this.stateDir}`,
    );
    // It refuses to run without; init makes it elsewhere.
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const child = spawn(SSHD, ["-D", "-e", "-f", file("sshd_config")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    let log = "";
    child.stderr.on("data", (data: Buffer) => (log += data.toString()));
    await eventually("sshd", () => {
      if (child.exitCode !== null) throw new Error(`sshd ended: ${log}`);
      return canConnect(this.#port);
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill();
    await exited;
  }

  /** What an ssh_config of the user's would say: ssh reads that of the account, not of HOME. */
  #writeSsh(name: string, hostKeys: string): void {
    const known = join(this.#dir, name, "known_hosts");
    const options = `-F none -i ${join(this.#dir, "user")} -o IdentitiesOnly=yes -o UserKnownHostsFile=${known} -o StrictHostKeyChecking=${hostKeys}`;
    const script = `#!/bin/sh\nexec ${execFileSync("sh", ["-c", "command -v ssh"]).toString().trim()} ${options} "$@"\n`;
    writeFileSync(join(this.#dir, name, "ssh"), script, { mode: 0o755 });
  }
}
