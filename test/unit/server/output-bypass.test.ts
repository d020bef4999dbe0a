import { Agent, request } from "node:http";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { describe, expect, test } from "vitest";
import {
  AttachRequestSchema,
  AttachResponseSchema,
  ProcmanService,
} from "../../../gen/procman/v1/procman_pb.js";
import { startFakeServer } from "../../helpers/fake-server.js";

const PATH = `/${ProcmanService.typeName}/Attach`;
const SIZES = [0, 1, 5, 127, 128, 16_300, 16_384, 65_536, 100, 300_000, 0, 65_536, 3_000_000];

describe.each([
  "application/connect+proto",
  "application/grpc-web",
  "application/grpc-web+proto",
  // Connect encodes these.
  "APPLICATION/connect+proto",
  "application/connect+json",
])("over %s", (contentType) => {
  test.each([
    ["that stays open", true],
    ["that is closed then", false],
  ])("output of any size comes in its order, on a connection %s", async (_, keepAlive) => {
    const server = await startFakeServer();
    server.procman.addJob("a");
    const outputs = SIZES.map((bytes, i) => Buffer.alloc(bytes, `${i},`));
    for (const output of outputs) server.procman.write("a", output);
    server.procman.end("a");
    const body = await attach(server, contentType, keepAlive);
    const isJson = contentType.endsWith("json");
    const envelopes = [...envelopesOf(body)];
    // What ends the stream.
    expect(envelopes.pop()?.flags).not.toBe(0);
    const events = envelopes.map(({ flags, data }) => {
      expect(flags).toBe(0);
      if (isJson) return Buffer.from(JSON.parse(data.toString()).chunk?.data ?? "", "base64");
      const { event } = fromBinary(AttachResponseSchema, data);
      return event.case === "chunk" ? event.value.data : undefined;
    });
    // The first and the last are of the job.
    const got = events.slice(1, -1).map((data) => Buffer.from(data ?? "none"));
    expect(got.map(({ length }) => length)).toEqual(SIZES);
    expect(Buffer.concat(got).equals(Buffer.concat(outputs))).toBe(true);
  });
});

function attach(
  server: Awaited<ReturnType<typeof startFakeServer>>,
  contentType: string,
  keepAlive: boolean,
): Promise<Buffer> {
  const message = contentType.endsWith("json")
    ? Buffer.from(JSON.stringify({ id: "a" }))
    : toBinary(AttachRequestSchema, create(AttachRequestSchema, { id: "a" }));
  const headers = { "Content-Type": contentType, Authorization: `Bearer ${server.token}` };
  const [host, port] = server.authority.split(":");
  const agent = new Agent({ keepAlive });
  return new Promise<Buffer>((resolve, reject) => {
    const options = { host, port, path: PATH, method: "POST", headers, agent };
    request(options, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (data: Buffer) => pieces.push(data));
      response.on("end", () => resolve(Buffer.concat(pieces)));
      response.on("error", reject);
    })
      .on("error", reject)
      .end(encodeEnvelope(0, message));
  }).finally(() => agent.destroy());
}

function* envelopesOf(body: Buffer): Generator<{ flags: number; data: Buffer }> {
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    yield { flags: body.readUInt8(at), data: body.subarray(at + 5, end) };
    at = end;
  }
}
