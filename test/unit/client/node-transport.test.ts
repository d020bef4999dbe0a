import { once } from "node:events";
import { chownSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { join } from "node:path";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { expect, onTestFinished, test, vi } from "vitest";
import { ProcmanService } from "../../../gen/procman/v1/procman_pb.js";
import { createProcmanClient, type ServerAddress } from "../../../src/client/index.js";
import type { Procman } from "../../../src/contract/procman.js";
import { encodeAttachEvent } from "../../../src/wire/output.js";
import { encodeJob } from "../../../src/wire/job.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { endedJob, runningJob } from "./some-job.js";

function clientOf(
  address: ServerAddress,
  reconnect: false | { maxDelayMs: number } = false,
): Procman {
  const client = createProcmanClient({ ...address, reconnect });
  onTestFinished(() => client.close());
  return client;
}

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("no socket, and a port where nobody listens, are UNREACHABLE by name", async () => {
  const socketPath = join(tempDir(), "none.sock");
  await expect(clientOf({ socketPath }).get("x")).rejects.toMatchObject({
    reason: "UNREACHABLE",
    message: expect.stringContaining(socketPath),
  });
  const free = createNetServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const baseUrl = `http://127.0.0.1:${(free.address() as AddressInfo).port}`;
  free.close();
  await once(free, "close");
  await expect(clientOf({ baseUrl }).get("x")).rejects.toMatchObject({
    reason: "UNREACHABLE",
    message: expect.stringContaining(baseUrl),
  });
});

test("an option that is given as undefined counts as left out", () => {
  const given = { socketPath: undefined, stateDir: undefined, startServer: undefined };
  // As a program without exactOptionalPropertyTypes may write it.
  clientOf({ baseUrl: "http://127.0.0.1:1", ...given });
  expect(() =>
    clientOf({ baseUrl: "http://127.0.0.1:1", socketPath: "/s" } as unknown as ServerAddress),
  ).toThrow("socketPath");
});

test.runIf(process.geteuid?.() === 0)("nothing is sent over another user's socket", async () => {
  const socketPath = join(tempDir(), "theirs.sock");
  let connections = 0;
  const stranger = createNetServer(() => (connections += 1)).listen(socketPath);
  await once(stranger, "listening");
  onTestFinished(() => void stranger.close());
  chownSync(socketPath, 4242, 4242);
  // With the default, to try again: it is not.
  const client = createProcmanClient({ socketPath });
  onTestFinished(() => client.close());
  await expect(client.get("x")).rejects.toMatchObject({
    reason: "UNREACHABLE",
    message: expect.stringContaining("belongs to another user (uid 4242"),
  });
  expect(connections).toBe(0);
});

test("a server that is none of procman's is an error that is not tried again", async () => {
  const baseUrl = await listening(createServer((_req, res) => res.writeHead(404).end("no")));
  const client = clientOf({ baseUrl }, { maxDelayMs: 1 });
  await expect(client.get("x")).rejects.toMatchObject({ reason: "INTERNAL" });
});

test("sends the token, and says when it is refused", async () => {
  const seen: (string | undefined)[] = [];
  const baseUrl = await listening(
    createServer((req, res) => {
      seen.push(req.headers.authorization);
      res.writeHead(401).end();
    }),
  );
  const call = clientOf({ baseUrl, token: "secret" }).get("x");
  await expect(call).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  const stream = clientOf({ baseUrl }).attach("x")[Symbol.asyncIterator]();
  await expect(stream.next()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  expect(seen).toEqual(["Bearer secret", undefined]);
});

test("sockets that break in the middle of a stream, or of an answer, are made anew", async () => {
  const offsets: bigint[] = [];
  let gets = 0;
  const requests: IncomingMessage[] = [];
  const breakConnection = () => requests.at(-1)?.socket.destroy();
  const handler = connectNodeAdapter({
    routes: ({ service }) =>
      service(ProcmanService, {
        get: () => {
          gets += 1;
          if (gets === 1) breakConnection();
          return { job: encodeJob(runningJob()) };
        },
        async *attach(request) {
          offsets.push(request.stdoutOffset);
          const offset = Number(request.stdoutOffset);
          yield encodeAttachEvent({ type: "opened", job: runningJob() });
          if (offset === 3) {
            yield encodeAttachEvent({ type: "ended", job: endedJob() });
            return;
          }
          const data = Buffer.from("x");
          yield encodeAttachEvent({ type: "chunk", stream: "stdout", offset, data });
          // When the client has it; the next request tells that it had.
          setTimeout(breakConnection, 20);
          await new Promise(() => {});
        },
      }),
  });
  const baseUrl = await listening(
    createServer((req, res) => {
      requests.push(req);
      handler(req, res);
    }),
  );
  const client = clientOf({ baseUrl }, { maxDelayMs: 5 });
  expect((await client.get("job1")).id).toBe("job1");
  expect(gets).toBe(2);
  const seen: (number | string)[] = [];
  for await (const event of client.attach("job1", { follow: true })) {
    seen.push(event.type === "chunk" ? event.offset : event.type);
  }
  expect(seen).toEqual(["opened", 0, 1, 2, "ended"]);
  expect(offsets.at(-1)).toBe(3n);
});

test.each<[unknown, string[]]>([
  [null, ["options"]],
  ["http://127.0.0.1", ["options"]],
  [{ baseUrl: "not a url" }, ["baseUrl"]],
  [{ baseUrl: "ftp://host" }, ["baseUrl"]],
  [{ baseUrl: 7, token: "a\n" }, ["baseUrl", "token"]],
  [{ baseUrl: "http://h", socketPath: "/s", tls: "yes" }, ["socketPath", "tls"]],
  [{ socketPath: "" }, ["socketPath"]],
  [{ socketPath: 1 }, ["socketPath"]],
  [{ reconnect: true }, ["reconnect"]],
  [
    { reconnect: { maxDelayMs: -1, giveUpAfterMs: Number.NaN } },
    ["reconnect.maxDelayMs", "reconnect.giveUpAfterMs"],
  ],
])("options %j are refused at once, each named", (options, fields) => {
  const violations = fields.map((field) => expect.objectContaining({ field }));
  expect(() => createProcmanClient(options as ServerAddress)).toThrow(
    expect.objectContaining({ reason: "INVALID_ARGUMENT", violations }),
  );
});

test("without an address it is the socket of the default state directory", async () => {
  const stateDir = join(tempDir(), "state");
  vi.stubEnv("PROCMAN_STATE_DIR", stateDir);
  onTestFinished(() => void vi.unstubAllEnvs());
  const client = createProcmanClient({ reconnect: false });
  onTestFinished(() => client.close());
  await expect(client.get("x")).rejects.toMatchObject({
    reason: "UNREACHABLE",
    message: expect.stringContaining(join(stateDir, "procman.sock")),
  });
});

test.each<[string, object, string[]]>([
  ["a state directory that is none", { stateDir: "" }, ["stateDir"]],
  ["a flag that is none", { stateDir: "/tmp", startServer: 1 }, ["startServer"]],
  [
    "what does not go together",
    { socketPath: "/tmp/s", stateDir: "/tmp", startServer: true },
    ["stateDir", "startServer"],
  ],
  ["nor with a URL", { baseUrl: "http://x", startServer: true }, ["startServer"]],
])("%s is refused by name", (_, address, fields) => {
  expect(() => clientOf(address as ServerAddress)).toThrow(
    expect.objectContaining({
      reason: "INVALID_ARGUMENT",
      violations: fields.map((field) => expect.objectContaining({ field })),
    }),
  );
});
