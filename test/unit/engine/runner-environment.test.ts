import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import { TestManager } from "../../helpers/test-manager.js";

/** As a process got it when it was executed. */
function environment(pid: number): Record<string, string> {
  const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").slice(0, -1);
  return Object.fromEntries(
    variables.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]),
  );
}

/** The environments of a job's command and of the runner that it has. */
async function environments(options: { env: Record<string, string>; clearEnv?: boolean }) {
  const at = await TestManager.open();
  const { id } = await at.manager.start({ command: "/bin/sleep", args: ["1000"], ...options });
  const [, runner, command] = at
    .read(id, "process")
    .split("\n")
    .map((line) => Number.parseInt(line, 10)) as [number, number, number];
  await eventually("the command", () =>
    readFileSync(`/proc/${command}/cmdline`, "latin1").startsWith("/bin/sleep"),
  );
  return { runner: environment(runner), command: environment(command) };
}

/** What would change the runner, which is a shell, or be changed by it. */
const KEPT_FROM_THE_RUNNER = {
  LD_PRELOAD: "/nowhere/lib.so",
  LD_LIBRARY_PATH: "/nowhere",
  LD_AUDIT: "/nowhere/audit.so",
  DYLD_INSERT_LIBRARIES: "/nowhere/lib.dylib",
  BASH_ENV: "/nowhere/profile",
  BASHOPTS: "extdebug",
  ENV: "/nowhere/profile",
  SHELLOPTS: "noexec",
  POSIXLY_CORRECT: "1",
  IFS: "0123456789",
  PS4: "$(exit 1)",
  PPID: "1",
  _: "x",
  "a.b": "1",
  procman_dir: "/nowhere",
  procman_code: "0",
};

test.skipIf(process.platform !== "linux").each([false, true])(
  "what would change the runner is kept from it, and the command has it (clearEnv %s)",
  async (clearEnv) => {
    const env = { ...KEPT_FROM_THE_RUNNER, PLAIN: "1", ODD_VALUE: "a'b\n$c" };
    const { runner, command } = await environments({ env, clearEnv });
    if (clearEnv) expect(command).toEqual(env);
    else expect(command).toMatchObject(env);
    for (const [name, value] of Object.entries(KEPT_FROM_THE_RUNNER)) {
      expect(runner[name], name).not.toBe(value);
    }
    // The rest it hands on.
    expect(runner).toMatchObject({ PLAIN: "1", ODD_VALUE: "a'b\n$c" });
  },
);

test.skipIf(process.platform !== "linux")(
  "what the server itself inherited is not taken out of the runner's way",
  async () => {
    const { runner, command } = await environments({ env: {} });
    for (const name of ["PATH", "HOME"]) {
      expect(runner[name]).toBe(process.env[name]);
      expect(command[name]).toBe(process.env[name]);
    }
  },
);

test.skipIf(process.platform !== "linux")("a cleared environment is the runner's too", async () => {
  const { runner, command } = await environments({ env: { ONLY: "this" }, clearEnv: true });
  expect(command).toEqual({ ONLY: "this" });
  expect(runner).toEqual({ ONLY: "this" });
});
