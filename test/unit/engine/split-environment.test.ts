import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { maxExecBytes } from "../../../src/platform/exec-limits.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import {
  splitEnvironment,
  type SplitOptions,
} from "../../../src/engine/local/runner/split-environment.js";

const noneInherited: SplitOptions = {
  clearEnv: false,
  isInherited: () => false,
  runnerOverrides: {},
};

/** What the runner gets, and what it is to do before it executes its words. */
function split(env: Record<string, string>, options: Partial<SplitOptions> = {}) {
  return splitEnvironment(env, { ...noneInherited, ...options }, () => "/env");
}

test("ordinary variables are handed on by the runner, and there is nothing to do", () => {
  const env = { PATH: "/bin", HOME: "/root", A1_b: "it's", x: "", MY_IFS: "1", IFSX: "1" };
  expect(split(env)).toEqual({ runnerEnv: env, envScript: "" });
});

test.each(
  // Names that no shell could assign, the runner's own, shells' own, and such as change them.
  [
    ["a.b", "1a", "", "a-b", "é"],
    ["procman_dir", "procman_"],
    ["IFS", "OPTIND", "PPID", "PWD", "OLDPWD", "SHLVL", "_", "ENV", "PS1", "PS2", "PS4"],
    ["LINENO", "RANDOM", "SECONDS", "HOSTNAME", "UID", "SHELLOPTS", "POSIXLY_CORRECT"],
    ["BASH_ENV", "BASH", "BASHOPTS", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"],
  ].flat(),
)("%j is kept from the runner and set at the last moment", async (name) => {
  expect(split({ [name]: "x", A: "1" })).toEqual({
    runnerEnv: { A: "1" },
    envScript: `set -- '/env' '${name}=x' "$@"\n`,
  });
});

test("shells may do with the server's own variables what they do anywhere", () => {
  const env = { PWD: "/", LD_PRELOAD: "x.so", "a.b": "1", procman_x: "1" };
  const isInherited = (name: string) => name in env;
  expect(split(env, { isInherited })).toEqual({
    runnerEnv: { PWD: "/", LD_PRELOAD: "x.so" },
    envScript: `set -- '/env' 'a.b=1' 'procman_x=1' "$@"\n`,
  });
});

test("what the runner needs otherwise it gets, and the command its own", () => {
  const runnerOverrides = { PATH: "/usr/bin", LC_ALL: "C" };
  expect(split({ PATH: "/mine", A: "1" }, { runnerOverrides })).toEqual({
    runnerEnv: { PATH: "/usr/bin", LC_ALL: "C", A: "1" },
    envScript: `set -- '/env' '-u' 'LC_ALL' 'PATH=/mine' "$@"\n`,
  });
});

test("of an environment that begins empty nothing is left that shells set", () => {
  const { runnerEnv, envScript } = split({ PATH: "/bin", A: "1" }, { clearEnv: true });
  expect(runnerEnv).toEqual({ PATH: "/bin", A: "1" });
  expect(envScript).toBe(`set -- '/env' '-u' 'PWD' '-u' 'OLDPWD' '-u' 'SHLVL' '-u' '_' "$@"\n`);
  expect(split({}, { clearEnv: true }).envScript).toContain("'-u' 'PATH'");
});

test("a shell that runs the script passes every value on as it is", () => {
  const env = { "a.b": 'it\'s\n$(x) `y` "z" \\', PS1: "" };
  const { envScript } = splitEnvironment(env, noneInherited, () => "/usr/bin/env");
  const printed = execFileSync("sh", ["-c", `${envScript}"$@"`, "sh", "env", "-0"], {
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin" },
  });
  const variables = printed.split("\0");
  for (const [name, value] of Object.entries(env)) expect(variables).toContain(`${name}=${value}`);
});

describe("what no exec would take is refused", () => {
  const refusal = (env: Record<string, string>) => {
    try {
      splitEnvironment(env, noneInherited, () => "/env");
    } catch (error) {
      if (error instanceof ProcmanError) return [error.reason, error.violations[0]?.field];
      throw error;
    }
    return undefined;
  };
  const refused = ["INVALID_ARGUMENT", "env"];

  test("one variable of more than 128 KiB", () => {
    const value = (bytes: number) => "é".repeat(bytes / 2);
    expect(refusal({ "a.b": value(128 * 1024) })).toEqual(refused);
    expect(refusal({ "a.b": value(128 * 1024 - 8) })).toBeUndefined();
  });

  test("more than the kernel takes in all, also of those that the runner hands on", () => {
    const most = Math.floor(maxExecBytes() / 65_536);
    const variables = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`V${i}`, "x".repeat(65_500)]));
    expect(refusal({ "a.b": "", ...variables(most) })).toEqual(refused);
    expect(refusal({ "a.b": "", ...variables(most - 1) })).toBeUndefined();
  });
});
