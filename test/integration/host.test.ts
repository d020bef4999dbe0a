import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Certificates } from "../helpers/certificates.js";
import { eventually } from "../helpers/eventually.js";
import { isHere } from "../helpers/foreign-parts.js";
import { endAll, launch, type Ran } from "../helpers/procman-command.js";
import { missingForSsh, SshServer } from "../helpers/ssh-server.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const dir = sharedTempDir();
/** Of this machine: nothing may be made here. */
const own = join(dir, "own");

function procman(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ran> {
  return launch(own, args, env).ended;
}

describe.skipIf(!isHere(missingForSsh()))("over ssh", () => {
  const ssh = new SshServer(sharedTempDir());
  const remote = (...args: string[]) =>
    procman({ PROCMAN_HOST: ssh.url, PATH: ssh.clientPath }, ...args);
  beforeAll(() => ssh.start());
  afterAll(async () => {
    await endAll(ssh.stateDir);
    await ssh.stop();
  });

  test("commands act on that machine's server, which run starts and status does not", async () => {
    const none = await remote("status");
    expect(none).toMatchObject({ code: 3, stdout: "" });
    expect(none.stderr).toContain(`there is no state directory ${ssh.stateDir}`);
    expect((await remote("ls")).stderr).toContain("nothing has been started yet");

    const script = 'pwd; echo "[$LOCAL]" "[$GIVEN]" "[$NAMED]"; echo oops >&2; exit 7';
    const words = ["-e", "GIVEN=1", "-e", "NAMED", "--", "sh", "-c", script];
    const env = { PROCMAN_HOST: ssh.url, PATH: ssh.clientPath, LOCAL: "x", NAMED: "2" };
    const ran = await procman(env, "run", "--label", "of=ssh", ...words);
    const home = execFileSync("sh", ["-c", "cd ~ && pwd"]).toString();
    expect(ran).toMatchObject({ code: 7, stdout: `${home}[] [1] [2]\n` });
    expect(ran.stderr).toContain("oops");
    const listed = await remote("ls", "--format", "{status} {workDir}");
    expect(listed.stdout).toMatch(/^failed \/.*\n$/);
    const status = await procman({ PATH: ssh.clientPath }, "status", "--json", "--host", ssh.url);
    expect(JSON.parse(status.stdout)).toEqual({
      running: true,
      host: ssh.url,
      jobs: 1,
      runningJobs: 0,
    });
    expect(existsSync(own)).toBe(false);
  });

  test("run takes a directory there, and no relative one", async () => {
    const there = await remote("run", "--work-dir", "/usr", "--", "pwd");
    expect(there).toMatchObject({ code: 0, stdout: "/usr\n" });
    const relative = await remote("run", "--work-dir", "src", "--", "pwd");
    expect(relative).toMatchObject({ code: 125, stdout: "" });
    expect(relative.stderr).toContain("--work-dir: give an absolute path");
  });

  test("output goes on where it was when the connection breaks; Ctrl-C says how to come back", async () => {
    const go = join(dir, "go");
    const script = `echo one; while [ ! -e ${go} ]; do sleep 0.05; done; echo two; exec sleep 1000`;
    const env = { PATH: ssh.clientPath };
    const running = launch(own, ["run", "--host", ssh.url, "--", "sh", "-c", script], env);
    await eventually("the first line", () => running.stdout() === "one\n");
    for (const pid of childrenOf(running.pid)) process.kill(pid, "SIGKILL");
    writeFileSync(go, "");
    await eventually("the second line", () => running.stdout() === "one\ntwo\n");
    running.signal("SIGINT");
    const { code, stderr } = await running.ended;
    expect(code).toBe(130);
    const back = new RegExp(`procman cancel --host ${ssh.url} ([0-9a-z]{12})`).exec(stderr);
    expect((await remote("cancel", back?.[1] ?? "")).code).toBe(0);
  });

  test("a state directory in the URL has a server of its own", async () => {
    const path = join(dir, "it's elsewhere");
    const env = { PATH: ssh.clientPath };
    const host = `${ssh.url}${path.split("/").map(encodeURIComponent).join("/")}`;
    const missing = await procman(env, "ls", "--host", host);
    expect(missing.stderr).toContain(`there is no state directory ${path}`);
    try {
      const ran = await procman(env, "run", "--host", host, "--", "echo", "hi");
      expect(ran).toMatchObject({ code: 0, stdout: "hi\n" });
      expect(readdirSync(path)).toContain("jobs");
    } finally {
      await endAll(path);
    }
  });

  test("says what is in the way", async () => {
    const ls = async (env: NodeJS.ProcessEnv, host: string) => {
      const { code, stderr } = await procman(env, "ls", "--host", host);
      expect(code).toBe(1);
      return stderr;
    };
    const env = { PATH: ssh.clientPath };
    expect(await ls({ PATH: ssh.strangerPath }, ssh.url)).toContain("Host key verification failed");
    expect(await ls({ PATH: join(dir, "nothing") }, ssh.url)).toContain("there is no ssh");
    expect(await ls(env, ssh.url.replace("//", "//nobody-of-that-name@"))).toContain(
      "Permission denied",
    );
    expect(await ls(env, "ssh://127.0.0.1:1")).toContain("Connection refused");
    renameSync(ssh.remoteProgram, `${ssh.remoteProgram}.away`);
    try {
      expect(await ls(env, ssh.url)).toContain("ssh finds no procman on 127.0.0.1");
      symlinkSync("/bin/false", ssh.remoteProgram);
      expect(await ls(env, ssh.url)).toContain('"procman dial-stdio" on 127.0.0.1 ended with 1');
    } finally {
      renameSync(`${ssh.remoteProgram}.away`, ssh.remoteProgram);
    }
  });

  test("what is for this machine alone refuses", async () => {
    for (const args of [["stop"], ["token"], ["server", "start"]]) {
      const refused = await remote(...args);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(`PROCMAN_HOST names ${ssh.url}`);
    }
    expect(existsSync(own)).toBe(false);
  });
});

describe("over TLS", () => {
  const files = sharedTempDir();
  const file = (name: string) => join(files, name);
  const certificates = new Certificates(files);
  beforeAll(() => {
    for (const ca of ["ca", "clients"]) certificates.createAuthority(ca);
    certificates.issue("server", "ca");
    certificates.issue("alice", "clients");
  });
  const tls = ["--tls-cert", file("server.pem"), "--tls-key", file("server.key")];
  const serve = ["--listen", "127.0.0.1:0", ...tls];

  describe("with the token", () => {
    const server = TestServer.shared({ args: serve });
    const token = () => join(server.stateDir, "token");

    test("runs a command, by options or variables", async () => {
      const variables = {
        PROCMAN_HOST: server.baseUrl,
        PROCMAN_TOKEN_FILE: token(),
        PROCMAN_CA_FILE: file("ca.pem"),
      };
      const words = [
        "--host",
        server.baseUrl,
        "--token-file",
        token(),
        "--ca-file",
        file("ca.pem"),
      ];
      const ran = await procman({}, "run", ...words, "--", "sh", "-c", "echo hi; exit 3");
      expect(ran).toMatchObject({ code: 3, stdout: "hi\n" });
      expect((await procman(variables, "ls", "--format", "{status}")).stdout).toBe("failed\n");
      // What the command line names counts more.
      const elsewhere = ["--state-dir", server.stateDir];
      expect((await procman(variables, "status", ...elsewhere)).stdout).toContain(
        `state:     ${server.stateDir}`,
      );
    });

    test("says what is in the way, and what to give", async () => {
      const ls = async (...words: string[]) => {
        const { code, stderr } = await procman({}, "ls", "--host", server.baseUrl, ...words);
        expect(code).toBe(1);
        return stderr;
      };
      const ca = ["--ca-file", file("ca.pem")];
      expect(await ls("--token-file", token())).toMatch(/certificate; --ca-file names the CA/);
      expect(await ls(...ca)).toContain("; give --token-file");
      expect(await ls(...ca, "--token-file", file("ca.pem"))).toContain("holds no token");
      writeFileSync(file("wrong"), "no-token-of-this-server\n");
      expect(await ls(...ca, "--token-file", file("wrong"))).toContain(file("wrong"));
      expect(await ls(...ca, "--token-file", file("none"))).toContain(file("none"));
      const plain = ["--token-file", token(), "--host", server.baseUrl.replace("https", "http")];
      expect(await ls(...plain)).toContain("it may speak TLS: https://");
    });
  });

  test("with a client's certificate", async () => {
    const server = await TestServer.start({
      args: [...serve, "--tls-client-ca", file("clients.pem")],
    });
    const host = ["--host", server.baseUrl, "--ca-file", file("ca.pem")];
    const alice = ["--cert-file", file("alice.pem"), "--key-file", file("alice.key")];
    const ran = await procman({}, "run", ...host, ...alice, "--", "echo", "hi");
    expect(ran).toMatchObject({ code: 0, stdout: "hi\n" });
    const refused = await procman({}, "ls", ...host);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--cert-file and --key-file");
  });
});

function childrenOf(pid: number): number[] {
  const ps = execFileSync("ps", ["-e", "-o", "pid=,ppid="]).toString();
  const pairs = ps
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.flatMap(([child = 0, parent]) => (parent === pid ? [child] : []));
}
