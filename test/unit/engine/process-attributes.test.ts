import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { JobSpec } from "../../../src/contract/job.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { prepareCommand } from "../../../src/engine/local/runner/prepare-command.js";
import {
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import { RESOURCES, resourceLimits } from "../../../src/platform/resource-limits.js";
import { eventually } from "../../helpers/eventually.js";
import { hasNativeRunner } from "../../helpers/native-runner.js";
import { type RunnerPackage, runnerPackage } from "../../helpers/runner-package.js";
import { shells } from "../../helpers/shells.js";
import { someSpec } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { startJob } from "./shell-job.js";
import { SOFT_LIMITS, softLimitIn } from "./soft-limits.js";

/** Prints all of them. */
const TELLS = 'umask; nice; cat /proc/self/limits; printf "%s" "$A"';

function spec(rest: Partial<JobSpec> = {}): JobSpec {
  return someSpec({ command: "sh", args: ["-c", TELLS], ...rest });
}

function expectAll(text: string, nice: number): void {
  expect(text.split(/\r?\n/).slice(0, 2)).toEqual(["0027", String(nice)]);
  const seen = RESOURCES.map((resource) => [resource, softLimitIn(text, resource)]);
  expect(Object.fromEntries(seen)).toEqual(
    Object.fromEntries(Object.entries(SOFT_LIMITS).map(([name, limit]) => [name, String(limit)])),
  );
  expect(text).toMatch(/a b$/);
}

const nice = getPriority() + 3;
// A variable that the shell cannot pass on: env(1) and nice(1) both stand before the command.
const asked = { umask: 0o027, nice, softLimits: SOFT_LIMITS, env: { A: "a b", "x.y": "1" } };

describe.skipIf(process.platform !== "linux").each(shells())("%s", (_program, shell) => {
  test.each([
    {},
    { stdin: true },
    { pty: true },
    { output: "pipe" as const },
    { clearEnv: true, env: { A: "a b" } },
  ])("a command has what it is to have: %j", async (options) => {
    const job = await startJob(shell, ["sh", "-c", TELLS], { ...asked, ...options });
    await job.ended;
    expectAll(job.log(), nice);
    expect(readExitRecord(job.dir.exit)).toMatchObject({ exitCode: 0 });
  });

  test("its runner has none of it, and can do its work", async () => {
    const softLimits = { fsize: 0, nofile: 5, nproc: 0, core: -1 };
    const script = "while [ -d . ]; do :; done";
    const job = await startJob(shell, ["sh", "-c", script], { ...asked, softLimits });
    const { runner, command } = job.identity;
    const limitsOf = ({ pid }: { pid: number }) => readFileSync(`/proc/${pid}/limits`, "latin1");
    await eventually("the command's", () => softLimitIn(limitsOf(command), "nofile") === "5");
    for (const name of ["fsize", "nofile", "nproc"] as const) {
      expect(softLimitIn(limitsOf(command), name)).toBe(String(softLimits[name]));
      expect(softLimitIn(limitsOf(runner), name)).not.toBe(String(softLimits[name]));
    }
    process.kill(job.identity.command.pid, "SIGKILL");
    await job.ended;
    expect(readExitRecord(job.dir.exit)).toMatchObject({ exitCode: 137 });
  });
});

const packages: RunnerPackage[] = hasNativeRunner() ? ["shell", "native"] : ["shell"];

describe.skipIf(process.platform !== "linux").each(packages)("a runner: %s", (which) => {
  async function start(engine: LocalEngine, wanted: JobSpec): Promise<JobDir> {
    const dir = new JobDir(join(tempDir(), "job"));
    mkdirSync(dir.path, { mode: 0o700 });
    for (const stream of ["stdout", "stderr"] as const) writeFileSync(dir.log(stream), "");
    onTestFinished(() => engine.open(dir).stop(0, new AbortController().signal));
    await (await engine.prepare(wanted)).start(dir);
    return dir;
  }

  function newEngine(): LocalEngine {
    const engine = new LocalEngine({ pollIntervalMs: 50, packageDir: runnerPackage(which) });
    onTestFinished(() => engine.close());
    return engine;
  }

  test("that waited gives it too", async () => {
    const engine = newEngine();
    for (let starts = 0; starts < 2; starts += 1) {
      const dir = await start(engine, spec(asked));
      await eventually("its end", () => readExitRecord(dir.exit));
      expectAll(readFileSync(dir.log("stdout"), "utf8"), nice);
      expect(readProcessRecord(dir)).not.toHaveProperty("notExecuted");
    }
  });

  test("has none of it, and can do its work", async () => {
    const engine = newEngine();
    const softLimits = { fsize: 0, nofile: 5, nproc: 0, core: -1 };
    const dir = await start(
      engine,
      spec({ ...asked, softLimits, args: ["-c", "while [ -d . ]; do :; done"] }),
    );
    const record = readProcessRecord(dir);
    if (record.kind !== "complete") throw new Error(`the process record is ${record.kind}`);
    const limitsOf = ({ pid }: { pid: number }) => readFileSync(`/proc/${pid}/limits`, "latin1");
    await eventually(
      "the command's",
      () => softLimitIn(limitsOf(record.command), "nofile") === "5",
    );
    for (const name of ["fsize", "nofile", "nproc"] as const) {
      expect(softLimitIn(limitsOf(record.runner), name)).not.toBe(String(softLimits[name]));
    }
    process.kill(record.command.pid, "SIGKILL");
    await eventually("its end", () => readExitRecord(dir.exit));
    expect(readExitRecord(dir.exit)).toMatchObject({ exitCode: 137 });
  });
});

describe.skipIf(process.platform !== "linux")("what cannot be had", () => {
  const refused = (attributes: Partial<JobSpec>) => {
    try {
      prepareCommand(spec(attributes));
      return [];
    } catch (error) {
      const { violations } = error as { violations: { field: string; description: string }[] };
      return violations.map(({ field, description }) => `${field}: ${description}`);
    }
  };

  test("is refused before anything runs, all of it at once", () => {
    const { nofile } = resourceLimits();
    const hard = nofile?.hard as number;
    expect(refused({ softLimits: { nofile: hard } })).toEqual([]);
    expect(refused({ softLimits: { nofile: -1, fsize: 513, stack: 4096, as: 1 } })).toEqual([
      'soft_limits["as"]: must be a multiple of 1024',
      'soft_limits["fsize"]: must be a multiple of 512',
      `soft_limits["nofile"]: must be at most ${hard}, the server's hard limit`,
    ]);
    expect(refused({ softLimits: { nofile: hard + 1 } })).toHaveLength(1);
    expect(refused({ limits: { openFilesMax: hard } })).toEqual([]);
    expect(refused({ limits: { openFilesMax: hard + 1 } })).toEqual([
      `limits.open_files_max: must be at most ${hard}, the server's hard limit`,
    ]);
  });

  test("niceness is left as it was by the look whether it can be lowered", () => {
    const own = getPriority();
    const isPrivileged = process.geteuid?.() === 0;
    const faults = isPrivileged ? [] : [expect.stringMatching(/^nice: must be at least/)];
    expect(refused({ nice: own - 1 })).toEqual(faults);
    expect(refused({ nice: own })).toEqual([]);
    expect(getPriority()).toBe(own);
  });
});
