import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";
import { bufCurlClients, curlClients } from "./curl-clients.js";
import type { ConformanceClient } from "./conformance-client.js";
import { connectClients, grpcJsClients } from "./library-clients.js";
import { pythonClients, pythonIsMissing } from "./python-clients.js";
import { SCENARIOS } from "./scenarios.js";

const DOCUMENT = join(import.meta.dirname, "../../docs/clients.md");
const MARKS = ["<!-- conformance -->\n", "<!-- /conformance -->"] as const;

const port = await freePort();
const server = TestServer.shared({ args: ["--listen", `127.0.0.1:${port}`] });
const stubs = sharedTempDir();
const clients: ConformanceClient[] = [];
const seen = new Map<string, string>();
let isComplete = true;

beforeAll(async () => {
  const { baseUrl, token, socketPath } = server;
  const target = { baseUrl, token, socketPath };
  clients.push(...grpcJsClients(target), ...connectClients(target));
  clients.push(...curlClients(target), ...bufCurlClients(target));
  const missing = pythonIsMissing();
  if (!missing) clients.push(...pythonClients(target, stubs));
  else if (process.env["CI"]) throw new Error(`CI needs Python: ${missing}`);
  else {
    console.warn(`skipped: ${missing}`);
    isComplete = false;
  }
});
afterAll(async () => {
  for (const client of clients) await client.close();
});

for (const scenario of SCENARIOS) {
  test(scenario.name, async () => {
    const failures: Error[] = [];
    const runWith = async (client: ConformanceClient) => {
      let verdict = "yes";
      try {
        if (client.cannot?.[scenario.name] === undefined) await scenario.run(client, server);
        else verdict = "–";
      } catch (cause) {
        verdict = "**no**";
        failures.push(new Error(`${client.name}: ${(cause as Error).message}`, { cause }));
      }
      seen.set(`${client.name}/${scenario.name}`, verdict);
    };
    if (scenario.alone) for (const client of clients) await runWith(client);
    else await Promise.all(clients.map(runWith));
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("\n"));
  });
}

test("the table in docs/clients.md says what was seen here", ({ skip }) => {
  const table = formatTable();
  console.log(table);
  skip(!isComplete, "some clients are not installed here");
  const text = readFileSync(DOCUMENT, "utf8");
  const [before = "", rest = ""] = text.split(MARKS[0]);
  const [written = "", after = ""] = rest.split(MARKS[1]);
  if (process.env["PROCMAN_TEST_WRITE_TABLE"]) {
    writeFileSync(DOCUMENT, `${before}${MARKS[0]}${table}${MARKS[1]}${after}`);
  } else {
    expect(written).toBe(table);
  }
});

function formatTable(): string {
  const rows = SCENARIOS.map(({ name }) => [
    name,
    ...clients.map((client) => seen.get(`${client.name}/${name}`) ?? ""),
  ]);
  const head = ["scenario", ...clients.map(({ name }) => name)];
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`);
  return lines.join("");
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}
