import { execFile, execFileSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { managerPid } from "../../src/manager-pid.js";
import { newStateDir } from "../helpers/procman-command.js";
import { tempDir } from "../helpers/temp-dir.js";
import { MAIN, TestServer } from "../helpers/test-server.js";

const run = promisify(execFile);

/** Runs a bash script in which `procman` is the real program. */
function bash(stateDir: string, script: string) {
  const procman = `procman() { '${process.execPath}' '${MAIN}' "$@"; }`;
  return run("bash", ["-c", `${procman}; ${script}`], {
    env: { ...process.env, PROCMAN_STATE_DIR: stateDir, PROCMAN_LISTEN: "none" },
    timeout: 60_000,
  });
}

describe("descriptors of whoever starts the server", () => {
  test("a lock is given back, and a pipe ends, though server and job run on", async () => {
    const stateDir = newStateDir();
    const lock = join(tempDir(), "lock");
    const script = "(flock 200; procman run -d -- sleep 1000) 200>lock 63> >(cat >&2)";
    // It ends when nobody has the pipe any more.
    await bash(stateDir, `cd '${join(lock, "..")}' && ${script}; wait`);
    execFileSync("flock", ["--nonblock", lock, "true"]);
    const pid = (await managerPid(stateDir)) as number;
    expect(pid).toBeGreaterThan(0);
    if (process.platform !== "linux") return;
    for (const fd of [63, 200]) {
      expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe("/dev/null");
    }
  });

  describe.runIf(process.platform === "linux")("of a server in the foreground", () => {
    const wrapper = ["bash", "-c", 'exec 20>/dev/null 63>/dev/null 200>/dev/null; exec "$@"', ""];
    const server = TestServer.shared({ wrapper });

    test.each([{}, { stdin: true }, { pty: true }])("no job has one: %j", async (options) => {
      const script = "for fd in 20 63 200; do [ -e /proc/$$/fd/$fd ] && exit 1; done; exit 0";
      const { client } = server;
      const { job } = await client.start({ command: "sh", args: ["-c", script], ...options });
      const { job: ended } = await client.wait({ id: job?.id as string });
      expect(ended?.exitCode).toBe(0);
    });
  });
});
