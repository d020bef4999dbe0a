import { describe, expect, test } from "vitest";
import { argumentError, ProcmanError } from "../../../src/contract/errors.js";
import { END_FIELDS, LIMIT_FIELDS, StartForm } from "../../../src/web/state/start-form.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function form(fields: Parameters<StartForm["change"]>[0]): StartForm {
  const form = new StartForm();
  form.change(fields);
  return form;
}

describe("the form to start a job", () => {
  test("says what is to be started", () => {
    const fields = {
      commandLine: "make -j8 'a b'",
      name: " web ",
      workDir: "/srv",
      env: "A=1\nB=x=y\n\n",
      labels: "app=site",
      timeout: "1m 30s",
      logLimitMb: "10",
      cpuSeconds: "60",
      memoryMb: "512",
      memoryMaxMb: "256",
      cpus: "1.5",
      pidsMax: "20",
      openFilesMax: "100",
      nice: "-5",
      pty: true,
      stdin: true,
      lease: "30s",
      endRemaining: true,
      onEnd: "notify 'a b'",
      onEndTimeout: "5s",
    };
    expect(form(fields).options()).toEqual({
      command: "make",
      args: ["-j8", "a b"],
      name: "web",
      workDir: "/srv",
      env: { A: "1", B: "x=y" },
      labels: { app: "site" },
      timeoutMs: 90_000,
      logLimitBytes: 10_000_000,
      softLimits: { cpu: 60, as: 512_000_000 },
      limits: { memoryMaxBytes: 256_000_000, cpus: 1.5, pidsMax: 20, openFilesMax: 100 },
      nice: -5,
      leaseMs: 30_000,
      endRemaining: true,
      onEnd: { command: "notify", args: ["a b"], timeoutMs: 5000 },
      pty: true,
      stdin: true,
    });
  });

  test("runs a shell where that is asked for", () => {
    const options = form({ commandLine: "ls | wc -l", usesShell: true }).options();
    expect(options).toMatchObject({ command: "sh", args: ["-c", "ls | wc -l"] });
  });

  test("says at each field what is wrong", () => {
    const wrong = form({
      commandLine: "echo 'a",
      env: "no value",
      timeout: "soon",
      cpuSeconds: "-1",
      memoryMb: "much",
      nice: "very",
      lease: "0s",
      onEndTimeout: "5s",
    });
    expect(wrong.options()).toBeUndefined();
    expect(wrong.errors.value).toEqual({
      commandLine: "the quote ' at character 6 has no end",
      env: '"no value" must be NAME=VALUE',
      timeout: 'must be a duration such as "90s", "10m" or "2h"',
      cpuSeconds: "must be a number above 0",
      memoryMb: "must be a number above 0",
      nice: "must be a whole number, from -20 to 19",
      lease: 'must be a duration such as "90s", "10m" or "2h"',
      onEnd: "what is to be run, for that long at most?",
    });
    // What is corrected is no longer complained of.
    wrong.change({ timeout: "1s" });
    expect(wrong.errors.value.timeout).toBeUndefined();
    expect(form({}).options()).toBeUndefined();
  });

  test("says at its fields what Start fails with", () => {
    const failed = form({ commandLine: "x" });
    failed.fail(
      argumentError("INVALID_ARGUMENT", [
        { field: "args[2]", description: "is too long" },
        { field: "work_dir", description: "is no directory" },
        { field: 'soft_limits["cpu"]', description: "is above the hard limit" },
        { field: "log_limit_bytes", description: "is too small" },
        { field: 'soft_limits["nofile"]', description: "is above it too" },
        { field: "on_end.command", description: "is none" },
        { field: "lease", description: "must be positive" },
      ]),
    );
    expect(failed.errors.value).toEqual({
      commandLine: "is too long",
      workDir: "is no directory",
      cpuSeconds: "is above the hard limit",
      logLimitMb: "is too small",
      onEnd: "is none",
      lease: "must be positive",
      "": 'soft_limits["nofile"]: is above it too',
    });
    // Which limit it is that cannot be had is said at its field, and that part is unfolded.
    failed.fail(
      argumentError("LIMIT_NOT_SUPPORTED", [
        { field: "limits.memory_max_bytes", description: "no cgroup may be made" },
        { field: "limits", description: "the job could not enter its cgroup" },
      ]),
    );
    expect(failed.errors.value).toEqual({
      memoryMaxMb: "no cgroup may be made",
      "": "limits: the job could not enter its cgroup",
    });
    expect([failed.uses(LIMIT_FIELDS), failed.uses(END_FIELDS)]).toEqual([true, false]);
    failed.fail(new ProcmanError("DISK_FULL", "the disk is full"));
    expect(failed.errors.value).toEqual({ "": "the disk is full" });
  });

  test("starts what is like a job, with what it does not show", () => {
    const job = new FakeProcman().addJob("a", {
      command: "printf",
      args: ["%s\n", "it's"],
      env: { A: "1" },
      clearEnv: true,
      workDir: "/srv",
      labels: { app: "site" },
      timeoutMs: 90_000,
      umask: 0o77,
      nice: 5,
      softLimits: { cpu: -1, nofile: 10 },
      limits: { memoryMaxBytes: 1_500_000, cpus: 0.5 },
      leaseMs: 2500,
      endRemaining: true,
      onEnd: { command: "notify", args: ["it's"], timeoutMs: 60_000 },
      mergeOutput: true,
    });
    const like = new StartForm();
    like.fill(job);
    expect(like.fields.value).toMatchObject({ clearEnv: true, timeout: "1m 30s", lease: "2.5s" });
    expect(like.options()).toEqual({
      command: "printf",
      args: ["%s\n", "it's"],
      env: { A: "1" },
      clearEnv: true,
      workDir: "/srv",
      labels: { app: "site" },
      timeoutMs: 90_000,
      umask: 0o77,
      nice: 5,
      softLimits: { cpu: -1, nofile: 10 },
      limits: { memoryMaxBytes: 1_500_000, cpus: 0.5 },
      leaseMs: 2500,
      endRemaining: true,
      onEnd: { command: "notify", args: ["it's"], timeoutMs: 60_000 },
      mergeOutput: true,
      output: "file",
    });
    like.change({ pty: true });
    expect(like.options()).not.toHaveProperty("mergeOutput");
    const shell = new StartForm();
    shell.fill(new FakeProcman().addJob("b", { command: "sh", args: ["-c", "a | b"] }));
    expect(shell.fields.value).toMatchObject({ commandLine: "a | b", usesShell: true });
  });
});
