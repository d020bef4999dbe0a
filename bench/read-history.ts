import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { AttachRequestSchema, ProcmanService, Stream } from "../gen/procman/v1/procman_pb.js";
import type { Target } from "./follow.js";

export const PROTOCOLS = ["gRPC", "Connect", "gRPC-Web"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

const PATH = `/${ProcmanService.typeName}/Attach`;

/**
 * Reads all of a job's standard output, by Attach over TCP without following,
 * and returns the bytes that came. They are not parsed, so that the server and
 * not the client is what is measured.
 */
export function readHistory(protocol: Protocol, target: Target, id: string): Promise<number> {
  const init = create(AttachRequestSchema, { id, streams: [Stream.STDOUT] });
  const request = toBinary(AttachRequestSchema, init);
  switch (protocol) {
    case "gRPC":
      return readGrpc(target, request);
    case "Connect":
      return readHttp(target, "application/connect+proto", encodeEnvelope(0, request));
    case "gRPC-Web":
      return readHttp(target, "application/grpc-web+proto", encodeEnvelope(0, request));
  }
}

function readGrpc({ authority, token }: Target, request: Uint8Array): Promise<number> {
  const client = new Client(authority, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const keep = (bytes: Buffer) => bytes;
  const call = client.makeServerStreamRequest(PATH, keep, keep, Buffer.from(request), metadata);
  return new Promise<number>((resolve, reject) => {
    let bytes = 0;
    call.on("data", (data: Buffer) => {
      bytes += data.length;
    });
    call.on("end", () => resolve(bytes));
    call.on("error", reject);
  }).finally(() => client.close());
}

function readHttp(target: Target, contentType: string, body: Uint8Array): Promise<number> {
  const agent = new Agent();
  const [host = "", port] = target.authority.split(":");
  const headers = {
    "Content-Type": contentType,
    "Content-Length": body.length,
    Authorization: `Bearer ${target.token}`,
  };
  return new Promise<number>((resolve, reject) => {
    const onResponse = (response: IncomingMessage) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      let bytes = 0;
      response.on("data", (data: Buffer) => {
        bytes += data.length;
      });
      response.on("end", () => resolve(bytes));
      response.on("error", reject);
    };
    httpRequest({ host, port, path: PATH, method: "POST", headers, agent }, onResponse)
      .on("error", reject)
      .end(body);
  }).finally(() => agent.destroy());
}
