import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import { Certificates } from "../helpers/certificates.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { isHere } from "../helpers/foreign-parts.js";
import { canConnect, freePort } from "../helpers/free-port.js";
import { sharedTempDir, tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const GUIDE = readFileSync(join(import.meta.dirname, "../../docs/proxies.md"), "utf8");
/** As the guide has it, and as the test's certificate. */
const NAME = "jobs.example.com";

const dir = sharedTempDir();
const port = await freePort();
const server = TestServer.shared({
  args: ["--listen", `127.0.0.1:${port}`, "--allow-host", NAME],
});
beforeAll(() => {
  const certificates = new Certificates(dir);
  certificates.createAuthority("ca");
  certificates.issue("server", "ca");
});

type Protocol = "Connect" | "Connect over HTTP/2" | "gRPC-Web" | "gRPC";
const PROTOCOLS: Protocol[] = ["Connect", "Connect over HTTP/2", "gRPC-Web", "gRPC"];

function clientOf(protocol: Protocol, proxyPort: number) {
  const authenticate: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${server.token}`);
    return next(request);
  };
  // The proxy is on this machine, whatever its name.
  const nodeOptions = {
    ca: readFileSync(join(dir, "ca.pem")),
    servername: "localhost",
    headers: { host: NAME },
  };
  const options = {
    baseUrl: `https://localhost:${proxyPort}`,
    interceptors: [authenticate],
    nodeOptions,
  };
  const transports: Record<Protocol, () => Transport> = {
    Connect: () => createConnectTransport({ httpVersion: "1.1", ...options }),
    "Connect over HTTP/2": () => createConnectTransport({ httpVersion: "2", ...options }),
    "gRPC-Web": () => createGrpcWebTransport({ httpVersion: "1.1", ...options }),
    gRPC: () => createGrpcTransport(options),
  };
  return createClient(ProcmanService, transports[protocol]());
}

/** The guide's configuration of a proxy, for the ports and files of this test. */
function configuration(language: string, proxyPort: number): string {
  const block = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "ms").exec(GUIDE)?.[1];
  if (block === undefined) throw new Error(`docs/proxies.md has nothing for ${language}`);
  return block
    .replaceAll("127.0.0.1:7420", `127.0.0.1:${port}`)
    .replace("listen 443", `listen 127.0.0.1:${proxyPort}`)
    .replaceAll("cert.pem", join(dir, "server.pem"))
    .replaceAll("key.pem", join(dir, "server.key"));
}

async function run(program: string, args: readonly string[], proxyPort: number): Promise<void> {
  const home = tempDir();
  const child = spawn(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"], HOME: home, XDG_DATA_HOME: home },
  });
  let log = "";
  child.stderr.on("data", (data: Buffer) => (log += data.toString()));
  onTestFinished(() => end(child));
  await eventually("the proxy", async () => {
    return canConnect(proxyPort);
  }).catch((cause: unknown) => {
    throw new Error(`${program} does not listen: ${log}`, { cause });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  // To nginx: end at once, with the workers.
  child.kill("SIGTERM");
  await exited;
}

/** @param more directives of the server, besides the guide's */
async function startNginx(proxyPort: number, more = ""): Promise<void> {
  const work = tempDir();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(work, name)};`,
  );
  const config = join(work, "nginx.conf");
  const block = configuration("nginx", proxyPort).replace("client_max_body_size", `${more}$&`);
  writeFileSync(
    config,
    `daemon off; pid ${join(work, "pid")}; error_log stderr warn; worker_processes 1;
    user ${userInfo().username} ${execFileSync("id", ["-gn"]).toString().trim()};
    events {}
    http { access_log off; ${temporary.join(" ")} ${block} }`,
  );
  await run("/usr/sbin/nginx", ["-c", config, "-e", "stderr"], proxyPort);
}

async function startCaddy(proxyPort: number): Promise<void> {
  const config = join(tempDir(), "Caddyfile");
  const block = configuration("caddyfile", proxyPort).replace(
    NAME,
    `https://${NAME}:${proxyPort}, https://localhost:${proxyPort}`,
  );
  writeFileSync(config, `{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n}\n${block}`);
  await run("/usr/bin/caddy", ["run", "--config", config, "--adapter", "caddyfile"], proxyPort);
}

async function expectToWork(protocol: Protocol, proxyPort: number): Promise<void> {
  const client = clientOf(protocol, proxyPort);
  const go = join(tempDir(), "go");
  const script = `echo one; while [ ! -e ${go} ]; do sleep 0.05; done; echo two; exit 3`;
  const { job } = await client.start({ command: "sh", args: ["-c", script] });
  const id = job?.id ?? "";
  const lines: string[] = [];
  for await (const { event } of client.watch({ id })) {
    if (event.case !== "line") continue;
    lines.push(event.value.text);
    // The first one comes while the job runs, or the second one never would.
    writeFileSync(go, "");
  }
  expect(lines).toEqual(["one", "two"]);
  expect((await client.wait({ id })).job?.exitCode).toBe(3);
  const error = await errorOf(client.get({ id: "none" }));
  expect(error).toMatchObject({ code: "NotFound", reason: "JOB_NOT_FOUND" });
  const large = await client.start({
    command: "true",
    args: Array.from({ length: 20 }, () => "x".repeat(100_000)),
  });
  // Whole in Get alone.
  const whole = await client.get({ id: large.job?.id ?? "" });
  expect(whole.job?.args).toHaveLength(20);
}

describe.skipIf(!isHere(missing("nginx", "/usr/sbin/nginx")))(
  "nginx, as docs/proxies.md has it",
  () => {
    test.each(PROTOCOLS)("%s works, and streams are not held back", async (protocol) => {
      const proxyPort = await freePort();
      await startNginx(proxyPort);
      await expectToWork(protocol, proxyPort);
    });

    test("a Wait beyond its time limit is UNAVAILABLE", async () => {
      const proxyPort = await freePort();
      await startNginx(proxyPort, "proxy_read_timeout 1s; grpc_read_timeout 1s; ");
      const { job } = await clientOf("Connect", proxyPort).start({
        command: "sleep",
        args: ["600"],
      });
      const id = job?.id ?? "";
      for (const protocol of PROTOCOLS) {
        const error = await errorOf(clientOf(protocol, proxyPort).wait({ id }));
        expect(error, protocol).toMatchObject({ code: "Unavailable" });
      }
      await server.client.cancel({ id });
    });
  },
);

// Not one of the packages that CI installs.
describe.skipIf(!existsSync("/usr/bin/caddy"))("Caddy, as docs/proxies.md has it", () => {
  test.each(PROTOCOLS)("%s works, and streams are not held back", async (protocol) => {
    const proxyPort = await freePort();
    await startCaddy(proxyPort);
    await expectToWork(protocol, proxyPort);
  });
});

function missing(name: string, path: string): string | undefined {
  return existsSync(path) ? undefined : `no ${name}, at ${path}`;
}
