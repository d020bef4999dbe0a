import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { runServer } from "../../../src/cli/run-server.js";
import { CliError } from "../../../src/cli/exit-codes.js";
import { FakeCli } from "./fake-cli.js";

vi.mock("../../../src/cli/run-server.js");
const run = vi.mocked(runServer);

// Those of whoever runs the tests.
for (const name of Object.keys(process.env))
  if (name.startsWith("PROCMAN_")) vi.stubEnv(name, undefined);
afterEach(() => {
  run.mockReset();
});

async function serve(env: Record<string, string>, ...words: string[]) {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const cli = new FakeCli();
  try {
    const code = await cli.run("serve", "--state-dir", "/state", ...words);
    return { code, stderr: cli.err.text, options: run.mock.calls.at(-1)?.[0] };
  } finally {
    for (const name of Object.keys(env)) vi.stubEnv(name, undefined);
  }
}

test("each option has a variable, which --help and docs/operations.md tell", async () => {
  const cli = new FakeCli();
  await cli.run("serve", "--help");
  const help = cli.out.text.replaceAll(/\s+/g, " ");
  const operations = readFileSync(join(import.meta.dirname, "../../../docs/operations.md"), "utf8");
  const flags = [...cli.out.text.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+) </gm)].map(
    ([, flag]) => flag,
  );
  expect(flags.length).toBeGreaterThan(9);
  for (const flag of flags) {
    if (flag === "--state-dir") continue;
    const variable = `PROCMAN_${flag?.slice(2).toUpperCase().replaceAll("-", "_")}`;
    expect(help).toMatch(new RegExp(`env: ?${variable}\\b`));
    expect(operations).toContain(`\`${variable}\``);
    expect(operations).toContain(`\`${flag}\``);
  }
});

test("variables are parsed as the options are, and options count more", async () => {
  const env = {
    PROCMAN_LISTEN: "127.0.0.1:1,[::1]:2",
    PROCMAN_CLEANUP_AGE: "2d",
    PROCMAN_RETAIN_AGE: "7d",
    PROCMAN_RETAIN_BYTES: "10GB",
    PROCMAN_POLL_INTERVAL: "2s",
    PROCMAN_LOG_LIMIT: "1MB",
    PROCMAN_TLS_CERT: "/c",
    PROCMAN_TLS_KEY: "/k",
    PROCMAN_TLS_CLIENT_CA: "/a",
    PROCMAN_ALLOW_HOST: "a.example, b.example",
    PROCMAN_ALLOW_ORIGIN: "https://a.example",
    PROCMAN_LOG_LEVEL: "info",
  };
  const all = {
    stateDir: "/state",
    listen: [
      { host: "127.0.0.1", port: 1 },
      { host: "::1", port: 2 },
    ],
    cleanupAgeMs: 172_800_000,
    retainAgeMs: 604_800_000,
    retainBytes: 10_000_000_000,
    pollIntervalMs: 2000,
    logLimitBytes: 1_000_000,
    tls: { certPath: "/c", keyPath: "/k", clientCaPath: "/a" },
    allowedHosts: ["a.example", "b.example"],
    allowedOrigins: ["https://a.example"],
    logLevel: "info",
  };
  expect((await serve(env)).options).toEqual(all);
  const given = ["--log-limit", "2MB", "--listen", "none", "--allow-host", "c.example"];
  expect((await serve(env, ...given)).options).toEqual({
    ...all,
    logLimitBytes: 2_000_000,
    listen: [],
    allowedHosts: ["c.example"],
  });
  expect((await serve({}, "--allow-host", "a", "b", "--allow-host", "c")).options).toMatchObject({
    allowedHosts: ["a", "b", "c"],
  });
});

test.each([
  [{ PROCMAN_LOG_LIMIT: "lots" }, "PROCMAN_LOG_LIMIT"],
  [{ PROCMAN_LISTEN: "7420" }, "PROCMAN_LISTEN"],
  [{ PROCMAN_LOG_LEVEL: "loud" }, "PROCMAN_LOG_LEVEL"],
  [{ PROCMAN_ALLOW_HOST: "a,,b" }, "PROCMAN_ALLOW_HOST"],
  [{ PROCMAN_TLS_CERT: "/c" }, "PROCMAN_TLS_CERT and --tls-key belong together"],
])("%j is refused by its name", async (env, message) => {
  const { code, stderr } = await serve(env);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
  expect(run).not.toHaveBeenCalled();
});

test("so is what only the server refuses", async () => {
  run.mockRejectedValue(new CliError("--poll-interval: must be at least 10", { exitCode: 1 }));
  const { code, stderr } = await serve({ PROCMAN_POLL_INTERVAL: "1ms" });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: "procman: PROCMAN_POLL_INTERVAL: must be at least 10\n",
  });
});
