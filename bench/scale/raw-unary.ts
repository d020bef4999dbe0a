import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Server, ServerCredentials, type sendUnaryData } from "@grpc/grpc-js";
import type { CallOrder } from "../call-worker.js";
import type { Scratch } from "../scratch.js";

const PROGRAM = fileURLToPath(import.meta.url);

/** Starts a process that answers a unary method by grpc-js alone, with always the same bytes. */
export async function startRawServer(
  scratch: Scratch,
  path: string,
  response: Buffer,
): Promise<CallOrder["target"]> {
  const args = [path, response.toString("base64")];
  const child = scratch.child(fork(PROGRAM, args, { stdio: "inherit" }));
  const [port] = (await once(child, "message")) as [number];
  return { authority: `127.0.0.1:${port}`, token: "" };
}

function serve(path: string, response: Buffer): void {
  const server = new Server({ "grpc.enable_channelz": 0 });
  const keep = (bytes: Buffer) => bytes;
  const definition = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: keep,
    requestDeserialize: keep,
    responseSerialize: keep,
    responseDeserialize: keep,
  };
  const answer = (_call: unknown, callback: sendUnaryData<Buffer>) => callback(null, response);
  server.addService({ answer: definition }, { answer });
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.send?.(port);
  });
  process.once("disconnect", () => process.exit(0));
}

if (process.argv[1] === PROGRAM) {
  serve(process.argv[2] ?? "", Buffer.from(process.argv[3] ?? "", "base64"));
}
