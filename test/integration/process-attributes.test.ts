import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { createProcmanClient } from "../../src/client/index.js";
import type { StartOptions } from "../../src/contract/procman.js";
import { isRoot } from "../helpers/machine.js";
import { asOrdinaryUser } from "../helpers/ordinary-user.js";
import { newStateDir, procman } from "../helpers/procman-command.js";
import { endJobs, MAIN } from "../helpers/test-server.js";

const run = promisify(execFile);

/** Prints umask, niceness and some soft limits: open files, size of files, core files, CPU time. */
const TELLS = "umask; nice; ulimit -S -n; ulimit -S -f; ulimit -S -c; ulimit -S -t";

/** A shell's settings, none of them a neutral one. bash counts in other blocks than sh. */
const SETTINGS = "umask 027; ulimit -S -n 77; ulimit -S -f 2048; ulimit -S -c 8; ulimit -S -t 5000";

interface Caller {
  readonly stateDir: string;
  /** Put before the command. */
  readonly wrapper?: readonly string[];
}

/** Runs a bash script in which `$procman` is the real program. */
async function bash({ stateDir, wrapper = [] }: Caller, script: string) {
  const env = {
    ...process.env,
    PROCMAN_STATE_DIR: stateDir,
    PROCMAN_LISTEN: "none",
    HOME: "/",
    procman: `${process.execPath} ${MAIN}`,
    tells: TELLS,
  };
  return run("env", [...wrapper, "bash", "-c", script], { env, cwd: "/", timeout: 60_000 });
}

/** What a job of the API's prints that asks for nothing but that. */
async function told({ stateDir }: Caller, options: Partial<StartOptions> = {}): Promise<string[]> {
  const client = createProcmanClient({ socketPath: join(stateDir, "procman.sock") });
  try {
    const { id } = await client.start({ command: "sh", args: ["-c", TELLS], ...options });
    let text = "";
    for await (const event of client.attach(id, { follow: true })) {
      if (event.type === "chunk") text += Buffer.from(event.data).toString();
    }
    return text.trim().split("\n");
  } finally {
    await client.close();
  }
}

const hardFiles = async () => (await run("bash", ["-c", "ulimit -H -n"])).stdout.trim();

describe.skipIf(process.platform !== "linux")("a server in the background", () => {
  test("has neutral attributes, and a job those of the shell that it was run in", async () => {
    const caller = { stateDir: newStateDir() };
    const ran = await bash(
      caller,
      `${SETTINGS}; nice -n 5 $procman run -- sh -c "$tells"; exit $?`,
    );
    const own = String(getPriority() + 5);
    expect(ran.stdout.trim().split("\n")).toEqual(["0027", own, "77", "4096", "16", "5000"]);
    const canLower = process.geteuid?.() === 0;
    const neutral = [
      "0022",
      canLower ? "0" : own,
      await hardFiles(),
      "unlimited",
      "0",
      "unlimited",
    ];
    expect(await told(caller)).toEqual(neutral);
    const another = await bash(caller, 'umask 022; $procman run -- sh -c "$tells"');
    expect(another.stdout.trim().split("\n")[0]).toBe("0022");
    const byServer = await bash(caller, `${SETTINGS}; $procman run --server-env -- sh -c "$tells"`);
    expect(byServer.stdout.trim().split("\n")).toEqual(neutral);
  });

  test("says where it may not have them, and a job says what it does not get", async () => {
    if (!isRoot()) return;
    const { stateDir = "", wrapper = [] } = asOrdinaryUser();
    const caller = { stateDir, wrapper };
    onTestFinished(async () => {
      await bash(caller, "$procman stop");
      await endJobs(stateDir);
    });
    const first = await bash(caller, "nice -n 5 $procman run -- nice");
    expect(first.stdout).toBe("5\n");
    expect(first.stderr).toContain("the server runs with this shell's niceness of 5");
    const second = await bash(caller, "$procman run -- nice");
    expect(second.stdout).toBe("5\n");
    expect(second.stderr).toContain(
      "the server's niceness, not this shell's: it must be at least 5",
    );
    const asked = bash(caller, "$procman run --nice 0 -- nice");
    await expect(asked).rejects.toMatchObject({
      code: 125,
      stderr: expect.stringContaining("--nice: must be at least 5"),
    });
  });
});

test.skipIf(process.platform !== "linux")(
  "a job's attributes are told by get, also after a restart",
  async () => {
    const stateDir = newStateDir();
    mkdirSync(stateDir, { recursive: true });
    const words = [
      "--umask",
      "007",
      "--nice",
      "4",
      "--ulimit",
      "nofile=50",
      "--ulimit",
      "core=unlimited",
    ];
    const { stdout } = await procman(stateDir, "run", "-d", "--server-env", ...words, "--", "true");
    const id = stdout.trim();
    for (const _ of ["before", "after"]) {
      const details = (await procman(stateDir, "get", id)).stdout;
      expect(details).toContain("umask:       007\n");
      expect(details).toContain("nice:        4\n");
      expect(details).toContain("soft limits: nofile=50 core=unlimited\n");
      await procman(stateDir, "stop");
    }
    const refused = await procman(stateDir, "run", "--ulimit", "nofile=99999999999", "--", "true");
    expect(refused.code).toBe(125);
    expect(refused.stderr).toMatch(/--ulimit nofile: must be at most \d+, the server's hard limit/);
  },
);
