import { expect, onTestFinished, test, vi } from "vitest";
import { Manager, type ManagerOptions } from "../../src/manager.js";
import { validManagerOptions } from "../../src/manager-options.js";

test.each<[unknown, string[]]>([
  [null, ["options"]],
  ["/tmp", ["options"]],
  [{ stateDir: "" }, ["stateDir"]],
  [{ stateDir: 7, cleanupAgeMs: -1 }, ["stateDir", "cleanupAgeMs"]],
  [{ retainAgeMs: 0, retainBytes: "1GB" }, ["retainAgeMs", "retainBytes"]],
  [{ pollIntervalMs: 0 }, ["pollIntervalMs"]],
  [{ pollIntervalMs: -5, logLimitBytes: 1 }, ["pollIntervalMs", "logLimitBytes"]],
  [{ pollIntervalMs: "1s", logLimitBytes: "1MB" }, ["pollIntervalMs", "logLimitBytes"]],
  [{ cleanupAgeMs: Number.NaN, onLost: 1, log: {} }, ["cleanupAgeMs", "onLost", "log"]],
  [{ log: null }, ["log"]],
])("a manager is not opened with %j", async (options, fields) => {
  await expect(Manager.open(options as ManagerOptions)).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
    violations: fields.map((field) => ({ field })),
  });
});

test("without a state directory it is the default one", () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("PROCMAN_STATE_DIR", "/srv/jobs");
  expect(validManagerOptions().stateDir).toBe("/srv/jobs");
  vi.stubEnv("PROCMAN_STATE_DIR", "");
  vi.stubEnv("HOME", "/home/somebody");
  expect(validManagerOptions({}).stateDir).toBe("/home/somebody/.cache/procman");
  vi.stubEnv("HOME", "not/absolute");
  expect(() => validManagerOptions({})).toThrow("stateDir: must be given");
});
