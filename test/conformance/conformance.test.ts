import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import { Certificates } from "../helpers/certificates.js";
import { chromiumIsMissing, launchChromium } from "../helpers/chromium.js";
import { isHere } from "../helpers/foreign-parts.js";
import { freePort } from "../helpers/free-port.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { WebPage } from "../helpers/web-page.js";
import { PAGE_SCRIPT } from "./browser-client.js";
import type { ConformanceClient, Way } from "./conformance-client.js";
import { browserClients, foreignClients, npmClients, type Targets } from "./create-clients.js";
import { FOREIGN_LANGUAGES } from "./foreign-languages.js";
import { Member } from "./member.js";
import { CODE_OF } from "./scenarios/scenario.js";
import { SCENARIOS } from "./scenarios/scenarios.js";
import { IS_ROOT, Stage } from "./stage.js";
import { formatTable } from "./table.js";

const ROOT = join(import.meta.dirname, "../..");
const DOCUMENT = join(ROOT, "docs/clients.md");
const MARKS = ["<!-- conformance -->\n", "<!-- /conformance -->"] as const;

const dir = sharedTempDir();
const pagePort = await freePort();
const pem = makeCertificates();
const serverPem = ["--tls-cert", pem.certPath("server"), "--tls-key", pem.keyPath("server")];
const plain = await stageWith();
const tls = await stageWith(...serverPem);
const mtls = await stageWith(...serverPem, "--tls-client-ca", pem.certPath("ca"));
const stageOf: Record<Way, Stage> = { TCP: plain, "unix socket": plain, TLS: tls, mTLS: mtls };

const hasChromium = isHere(chromiumIsMissing());
const isComplete = [
  isHere(IS_ROOT ? undefined : "root, who can take disk, processes and files from a server"),
  hasChromium,
  ...FOREIGN_LANGUAGES.map((language) => isHere(language.missing())),
].every(Boolean);
const members: Member[] = [];
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const targets = targetsOf();
  const clients = [...npmClients(targets), ...(await foreignClients(targets, dir))];
  if (hasChromium) clients.push(...(await clientsInChromium(targets)));
  members.push(...clients.map((client) => new Member(client, stageOf[client.over])));
}, 600_000);
afterAll(async () => {
  await Promise.all(members.map(({ client }) => client.close()));
  for (const close of closing) await close();
});

for (const scenario of SCENARIOS) {
  test(scenario.name, { timeout: 240_000 }, async () => {
    for (const member of members) member.verdicts.set(scenario, "–");
    const able = members.filter((member) => member.canRun(scenario));
    for (const stage of [plain, tls, mtls]) {
      stage.open(able.filter((member) => member.stage === stage).length);
    }
    const outcomes = await Promise.all(able.map((member) => member.run(scenario)));
    const failures = outcomes.filter((outcome) => outcome !== undefined);
    if (failures.length > 0) throw new AggregateError(failures, failures.join("\n"));
  });
}

test("every client has called every RPC, and was told every reason there is", () => {
  const rpcs = ProcmanService.methods.map(({ name }) => name).sort();
  for (const member of members) {
    expect([...member.methods].sort(), member.name).toEqual(rpcs);
    const reasons = Object.keys(CODE_OF).filter((reason) => couldBeTold(member, reason));
    expect([...member.reasons].sort(), member.name).toEqual(reasons.sort());
  }
});

test("docs/api.md names every reason with its code", () => {
  const page = readFileSync(join(ROOT, "docs/api.md"), "utf8");
  const [, table = ""] = page.split("| reason | code | means |\n|---|---|---|\n");
  const rows = `${table}\n\n`.split("\n\n")[0]?.matchAll(/^\| (.*?) \| (\w+) \|/gm) ?? [];
  const documented = [...rows].flatMap(([, reasons = "", code]) =>
    reasons.split(", ").map((reason) => [reason, code]),
  );
  expect(Object.fromEntries(documented)).toMatchObject(CODE_OF);
});

test("the table in docs/clients.md says what was seen here", ({ skip }) => {
  const table = formatTable(
    SCENARIOS.map(({ name }) => name),
    members.map(({ client, verdicts }) => ({
      kind: client.kind,
      over: client.over,
      verdicts: SCENARIOS.map((scenario) => verdicts.get(scenario) ?? ""),
    })),
  );
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

function couldBeTold({ client }: Member, reason: string): boolean {
  if (reason === "UNAUTHENTICATED") return !client.lacks.has("token");
  if (reason === "TOO_MANY_OPEN_FILES") return IS_ROOT && !client.lacks.has("lasting connection");
  return IS_ROOT || !["DISK_FULL", "PROCESS_LIMIT"].includes(reason);
}

function makeCertificates(): Certificates {
  const certificates = new Certificates(dir);
  certificates.createAuthority("ca");
  certificates.issue("server", "ca");
  certificates.issue("client", "ca");
  // The servers run as other users.
  chmodSync(dir, 0o755);
  chmodSync(certificates.keyPath("server"), 0o644);
  return certificates;
}

/** On a port that it comes back to after a restart, for the pages of another one. */
async function stageWith(...more: string[]): Promise<Stage> {
  const origin = `http://127.0.0.1:${pagePort}`;
  const listen = `127.0.0.1:${await freePort()}`;
  return new Stage(["--listen", listen, "--allow-origin", origin, ...more]);
}

function targetsOf(): Targets {
  const ca = pem.certPath("ca");
  const own = { cert: pem.certPath("client"), key: pem.keyPath("client") };
  const { socketPath } = plain.server;
  const tcp = (over: Way) => ({ over, baseUrl: stageOf[over].server.baseUrl });
  const { token } = plain.server;
  return {
    TCP: { ...tcp("TCP"), token },
    "unix socket": { over: "unix socket", baseUrl: "http://localhost", socketPath },
    TLS: { ...tcp("TLS"), token: tls.server.token, tls: { ca } },
    mTLS: { ...tcp("mTLS"), tls: { ca, ...own } },
  };
}

async function clientsInChromium(targets: Targets): Promise<ConformanceClient[]> {
  const page = await WebPage.serve(PAGE_SCRIPT, pagePort);
  closing.push(() => page.close());
  const browser = await launchChromium();
  closing.push(() => browser.close());
  return browserClients(targets, browser, page);
}
