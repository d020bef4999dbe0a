import { connect as http2Connect, constants, type IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import {
  create,
  createFileRegistry,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  anyUnpack,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  AttachRequestSchema,
  type AttachResponse,
  AttachResponseSchema,
  file_procman_v1_procman,
  GetRequestSchema,
  GetResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";
import { type FakeServer, networkClient, startFakeServer } from "../../helpers/fake-server.js";

const PATH = "/procman.v1.ProcmanService";

type Question = ServerReflectionRequest["messageRequest"];

function grpcClient(target: string): Client {
  const client = new Client(target, credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

function withToken({ token }: FakeServer): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

function get(client: Client, id: string, metadata = new Metadata()) {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `${PATH}/Get`,
      (request: MessageInitShape<typeof GetRequestSchema>) =>
        Buffer.from(toBinary(GetRequestSchema, create(GetRequestSchema, request))),
      (bytes) => fromBinary(GetResponseSchema, bytes),
      { id },
      metadata,
      (error, response) => (error ? reject(error) : resolve(response)),
    );
  });
}

function attach(
  client: Client,
  request: MessageInitShape<typeof AttachRequestSchema>,
  metadata: Metadata,
) {
  return client.makeServerStreamRequest(
    `${PATH}/Attach`,
    (init: MessageInitShape<typeof AttachRequestSchema>) =>
      Buffer.from(toBinary(AttachRequestSchema, create(AttachRequestSchema, init))),
    (bytes) => fromBinary(AttachResponseSchema, bytes),
    request,
    metadata,
  );
}

describe("with grpc-js's own client", () => {
  test("a call over TCP", async () => {
    const server = await startFakeServer();
    server.procman.addJob("a");
    const client = grpcClient(server.authority);
    expect(await get(client, "a", withToken(server))).toMatchObject({ job: { id: "a", pid: 42 } });
  });

  test("a call over the unix socket, without a token", async () => {
    const server = await startFakeServer();
    server.procman.addJob("a");
    const client = grpcClient(`unix:${server.socketPath}`);
    expect(await get(client, "a")).toMatchObject({ job: { id: "a" } });
    const line = await eventually("the log", () => server.logged.find(({ msg }) => msg === "call"));
    expect(line).toMatchObject({
      method: "Get",
      protocol: "grpc",
      peer: "unix socket",
      code: "OK",
    });
  });

  test("an error has google.rpc.Status in its trailers", async () => {
    const server = await startFakeServer();
    const client = grpcClient(server.authority);
    const error = (await get(client, "nö\n", withToken(server)).catch(
      (e: unknown) => e,
    )) as ServiceError;
    expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'no job "nö\\n"' });
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const rich = fromBinary(StatusSchema, bytes as Buffer);
    expect(rich).toMatchObject({ code: status.NOT_FOUND, message: error.details });
    expect(anyUnpack(rich.details[0]!, ErrorInfoSchema)).toMatchObject({
      reason: "JOB_NOT_FOUND",
      domain: "procman",
      metadata: { job_id: "nö\n" },
    });
  });

  test("a stream waits for a client that does not read, and holds little meanwhile", async () => {
    const server = await startFakeServer();
    server.procman.addJob("a");
    const pieces = 256;
    for (let i = 0; i < pieces; i += 1) server.procman.write("a", Buffer.alloc(1024 * 1024, i));
    server.procman.end("a");
    const call = attach(grpcClient(server.authority), { id: "a" }, withToken(server));
    const first = await new Promise<AttachResponse>((resolve) => call.once("data", resolve));
    expect(first.event.case).toBe("opened");
    call.pause();
    await eventually("the stream to stand still", async () => {
      const before = server.procman.given;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return server.procman.given === before;
    });
    expect(server.procman.given).toBeLessThan(pieces / 8);
    let bytes = 0;
    call.on("data", ({ event }: AttachResponse) => {
      if (event.case === "chunk") bytes += event.value.data.length;
    });
    const ended = new Promise((resolve) => call.once("end", resolve));
    call.resume();
    await ended;
    expect(bytes).toBe(pieces * 1024 * 1024);
  });

  test("a stream is released when the client cancels while the server waits to write", async () => {
    const server = await startFakeServer();
    server.procman.addJob("a");
    for (let i = 0; i < 256; i += 1) server.procman.write("a", Buffer.alloc(1024 * 1024));
    const call = attach(grpcClient(server.authority), { id: "a", follow: true }, withToken(server));
    call.on("error", () => {});
    await new Promise((resolve) => call.once("data", resolve));
    call.pause();
    expect(server.procman.openStreams).toBe(1);
    call.cancel();
    await eventually("the stream's release", () => server.procman.openStreams === 0);
    const line = await eventually("the log", () =>
      server.logged.find(({ method }) => method === "Attach"),
    );
    expect(line["code"]).toBe("Canceled");
  });
});

describe("what is no call", () => {
  interface Answer {
    readonly headers: IncomingHttpHeaders;
    readonly trailers: IncomingHttpHeaders;
  }

  /** A request with anything as its path, headers and body. */
  async function ask(
    server: FakeServer,
    headers: Record<string, string>,
    body: Buffer = Buffer.alloc(0),
    overSocket = false,
  ): Promise<Answer> {
    const createConnection = () =>
      overSocket ? connect(server.socketPath) : connect(server.port, server.host);
    const session = http2Connect(`http://${server.authority}`, { createConnection });
    onTestFinished(() => session.destroy());
    const stream = session.request({
      ":method": "POST",
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${server.token}`,
      ...headers,
    });
    const answer: { headers: IncomingHttpHeaders; trailers: IncomingHttpHeaders } = {
      headers: {},
      trailers: {},
    };
    stream.on("response", (headers) => {
      answer.headers = headers;
    });
    stream.on("trailers", (trailers) => {
      answer.trailers = trailers;
    });
    stream.resume();
    // A GET's stream has ended already.
    if (!stream.writableEnded) stream.end(body);
    await new Promise((resolve, reject) => stream.on("close", resolve).on("error", reject));
    return answer;
  }

  const message = (bytes: readonly number[], compressed = 0) =>
    Buffer.from([compressed, 0, 0, 0, bytes.length, ...bytes]);
  const grpcStatus = ({ headers, trailers }: Answer) =>
    Number(trailers["grpc-status"] ?? headers["grpc-status"]);

  test.each([
    ["Get", "noise", message([0xff, 0xff, 0xff]), status.INVALID_ARGUMENT],
    ["Attach", "noise", message([0x0a, 0x7f, 1]), status.INVALID_ARGUMENT],
    ["Get", "text that is not UTF-8", message([0x0a, 2, 0xff, 0xfe]), status.INVALID_ARGUMENT],
    ["Get", "no message", Buffer.alloc(0), status.UNIMPLEMENTED],
    ["Get", "an empty message", message([]), status.INVALID_ARGUMENT],
    ["Get", "half a message", Buffer.from([0, 0, 0, 0, 9, 1]), status.UNIMPLEMENTED],
    ["Get", "two messages", Buffer.concat([message([]), message([])]), status.UNIMPLEMENTED],
    [
      "Get",
      "a message that says it is 4 GiB long",
      Buffer.from([0, 255, 255, 255, 255]),
      status.RESOURCE_EXHAUSTED,
    ],
    ["Nope", "a method that is none", message([]), status.UNIMPLEMENTED],
  ])("%s with %s", async (method, _name, body, code) => {
    const server = await startFakeServer();
    expect(grpcStatus(await ask(server, { ":path": `${PATH}/${method}` }, body))).toBe(code);
    await networkClient(server, "grpc").list({});
  });

  test("noise that says it is compressed", async () => {
    const server = await startFakeServer();
    const headers = { ":path": `${PATH}/Get`, "grpc-encoding": "gzip" };
    expect(grpcStatus(await ask(server, headers, message([1, 2, 3], 1)))).toBe(status.INTERNAL);
    await networkClient(server, "grpc").list({});
  });

  test("other content", async () => {
    const server = await startFakeServer();
    const headers = { ":path": `${PATH}/Get`, "content-type": "application/json" };
    expect((await ask(server, headers)).headers[":status"]).toBe(415);
    expect(
      (await ask(server, { ":method": "GET", ":path": "/healthz", "content-type": "text/plain" }))
        .headers[":status"],
    ).toBe(415);
    await networkClient(server, "grpc").list({});
  });

  test("a host that is not this server's, or none", async () => {
    const server = await startFakeServer();
    const to = (authority: string) => ({ ":path": `${PATH}/Get`, ":authority": authority });
    const body = message([]);
    expect(grpcStatus(await ask(server, to("evil.example"), body))).toBe(status.PERMISSION_DENIED);
    expect(grpcStatus(await ask(server, to("user@localhost"), body))).toBe(status.INVALID_ARGUMENT);
    expect(grpcStatus(await ask(server, to("evil.example"), body, true))).toBe(
      status.INVALID_ARGUMENT,
    );
    expect(server.procman.calls).toEqual([]);
  });

  test("a page of another origin, also over the unix socket", async () => {
    const server = await startFakeServer();
    const headers = { ":path": `${PATH}/Refresh`, origin: "https://evil.example" };
    for (const overSocket of [false, true]) {
      const answer = await ask(server, headers, message([]), overSocket);
      expect(grpcStatus(answer)).toBe(status.PERMISSION_DENIED);
    }
    expect(server.procman.calls).toEqual([]);
  });

  test("streams that are reset at once", async () => {
    const server = await startFakeServer();
    server.procman.addJob("a");
    const session = http2Connect(`http://${server.authority}`);
    onTestFinished(() => session.destroy());
    for (let i = 0; i < 50; i += 1) {
      const stream = session.request({
        ":method": "POST",
        ":path": `${PATH}/Attach`,
        "content-type": "application/grpc",
        authorization: `Bearer ${server.token}`,
      });
      stream.on("error", () => {});
      stream.end(message([0x0a, 1, 0x61, 0x18, 1]));
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await networkClient(server, "grpc").list({});
    await eventually("the streams' release", () => server.procman.openStreams === 0);
  });
});

describe("health", () => {
  const { Check: check, Watch: watch } = healthService as unknown as Record<
    "Check" | "Watch",
    {
      path: string;
      requestSerialize: (value: { service: string }) => Buffer;
      responseDeserialize: (bytes: Buffer) => { status: string };
    }
  >;

  test.each(["", "procman.v1.ProcmanService"])(
    "of %j is told without a token, until it closes",
    async (name) => {
      const server = await startFakeServer();
      const client = grpcClient(server.authority);
      const { path, requestSerialize, responseDeserialize } = check;
      const answer = await new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          { service: name },
          (error, value) => (error ? reject(error) : resolve(value)),
        );
      });
      expect(answer).toMatchObject({ status: "SERVING" });
      const seen: string[] = [];
      const call = client.makeServerStreamRequest(
        watch.path,
        watch.requestSerialize,
        watch.responseDeserialize,
        { service: name },
      );
      call.on("error", () => {});
      call.on("data", ({ status }: { status: string }) => seen.push(status));
      await eventually("the first status", () => seen.length === 1);
      const closed = server.close();
      await eventually("the second status", () => seen.length === 2);
      expect(seen).toEqual(["SERVING", "NOT_SERVING"]);
      await closed;
    },
  );
});

describe("reflection", () => {
  const SERVICES = [
    "procman.v1.ProcmanService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ];

  /** Asks as grpcurl does: each question on a stream that stays open. */
  async function reflect(
    server: FakeServer,
    question: Question,
  ): Promise<ServerReflectionResponse> {
    const transport = createGrpcTransport({ baseUrl: `http://${server.authority}` });
    const { serverReflectionInfo } = createClient(ServerReflection, transport);
    const messageRequest = question;
    const headers = { authorization: `Bearer ${server.token}` };
    const questions = (async function* () {
      yield { messageRequest };
    })();
    for await (const answer of serverReflectionInfo(questions, { headers })) return answer;
    throw new Error("no answer");
  }

  async function filesOf(server: FakeServer, symbol: string): Promise<FileDescriptorProto[]> {
    const question: Question = { case: "fileContainingSymbol", value: symbol };
    const { messageResponse } = await reflect(server, question);
    if (messageResponse.case !== "fileDescriptorResponse") throw new Error(`nothing of ${symbol}`);
    const { fileDescriptorProto } = messageResponse.value;
    return fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  }

  test("lists every service that is served, and describes each with what it imports", async () => {
    const server = await startFakeServer();
    const { messageResponse } = await reflect(server, { case: "listServices", value: "*" });
    if (messageResponse.case !== "listServicesResponse") throw new Error("no list");
    expect(messageResponse.value.service.map(({ name }) => name).sort()).toEqual(SERVICES.sort());
    for (const service of SERVICES) {
      const files = await filesOf(server, service);
      // As clients do, which reject a file whose imports are not there.
      const registry = createFileRegistry(
        create(FileDescriptorSetSchema, { file: files.toReversed() }),
      );
      expect(registry.getService(service)?.methods.length, service).toBeGreaterThan(0);
    }
    const own = await filesOf(server, "procman.v1.ProcmanService");
    expect(own.find(({ name }) => name === "procman/v1/procman.proto")).toEqual(
      file_procman_v1_procman.proto,
    );
  });

  test("describes what errors carry", async () => {
    const server = await startFakeServer();
    for (const message of ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.Status"]) {
      const [file] = await filesOf(server, message);
      expect(file?.messageType.map(({ name }) => `google.rpc.${name}`)).toContain(message);
    }
  });

  test("tells nothing to whoever has no token", async () => {
    const server = await startFakeServer();
    const stranger = { ...server, token: "x".repeat(32) };
    const question: Question = { case: "listServices", value: "*" };
    expect(await errorOf(reflect(stranger, question))).toMatchObject({ code: "Unauthenticated" });
  });
});
