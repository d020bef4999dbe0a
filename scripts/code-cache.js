import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import launcher from "../dist/bin/procman.cjs";

/*
 * Makes the code caches of the bundles: a rehearsal of a server, a few commands and a call
 * over gRPC, after which V8 has compiled what those need.
 */

const BIN = join(import.meta.dirname, "../dist/bin");
const TIMEOUT_MS = 30_000;

const bundles = new Map();
const stateDir = mkdtempSync(join(tmpdir(), "procman-build-"));
const timer = setTimeout(() => process.exit(1), TIMEOUT_MS);
process.on("exit", () => rmSync(stateDir, { recursive: true, force: true }));

await rehearse();
for (const [name, { script }] of bundles) {
  writeFileSync(launcher.cachePath(join(BIN, name)), script.createCachedData());
}
process.exit(0);

async function rehearse() {
  command("serve", "--listen", "127.0.0.1:0");
  const socketPath = join(stateDir, "procman.sock");
  await until(() => canConnect(socketPath));
  for (const words of [["run", "--", "true"], ["ls"], ["run", "-d", "--", "true"]]) {
    process.exitCode = undefined;
    command(...words);
    await until(() => process.exitCode !== undefined);
  }
  await callGrpc(socketPath);
  clearTimeout(timer);
}

/** Runs the command line in this process. */
function command(verb, ...words) {
  const separator = words.indexOf("--");
  const at = separator === -1 ? words.length : separator;
  process.argv = [
    process.execPath,
    join(BIN, "procman.cjs"),
    verb,
    ...words.slice(0, at),
    "--state-dir",
    stateDir,
    ...words.slice(at),
  ];
  load(verb === "serve" ? "./server.cjs" : "./cli.cjs").main();
}

/** Keeps each bundle's script, so that V8 adds to it what is compiled late. */
function load(name) {
  const key = name.replace("./", "");
  if (!bundles.has(key)) bundles.set(key, launcher.compile(key));
  return bundles.get(key).run(load);
}

async function canConnect(path) {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function callGrpc(path) {
  const session = connectHttp2("http://localhost", {
    createConnection: () => connect(path),
  });
  const stream = session.request({
    ":method": "POST",
    ":path": "/procman.v1.ProcmanService/List",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(Buffer.alloc(5));
  stream.resume();
  await once(stream, "close");
  session.destroy();
}

async function until(condition) {
  while (!(await condition())) await sleep(20);
}
