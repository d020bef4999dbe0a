import { request } from "node:http";
import { SocketAgent } from "../client/socket-agent.js";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { Code, ConnectError } from "@connectrpc/connect";
import type { JsonValue } from "@bufbuild/protobuf";
import { CliError } from "./exit-codes.js";

const TIMEOUT_MS = 10_000;

/**
 * Asks the server, over its socket, about links to its page and sessions there.
 * @throws CliError with what the server says, or where it has no page
 */
export async function askPageDoor<Answer>(
  socketPath: string,
  method: "POST" | "DELETE",
  path: string,
): Promise<Answer> {
  const agent = new SocketAgent({});
  try {
    const { status, body } = await ask({ agent, socketPath, method, path });
    if (status === 404) {
      const message =
        'the server that runs is of an earlier version and has no page; "procman stop" ends it, ' +
        "and no job, and the next command starts this version's";
      throw new CliError(message);
    }
    const answer = JSON.parse(body) as JsonValue;
    if (status === 200) return answer as Answer;
    const fallback = new ConnectError(`the server answers with status ${status}`, Code.Unknown);
    throw new CliError(errorFromJson(answer, undefined, fallback).rawMessage);
  } finally {
    agent.destroy();
  }
}

interface Asked {
  readonly agent: SocketAgent;
  readonly socketPath: string;
  readonly method: string;
  readonly path: string;
}

function ask(options: Asked): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { Host: "localhost", "Content-Length": 0 };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const req = request({ ...options, headers, signal }, (res) => {
      let body = "";
      res.setEncoding("utf8");
      res.on("data", (text: string) => {
        body += text;
      });
      res.on("end", () => resolve({ status: res.statusCode ?? 0, body }));
      res.on("error", reject);
    });
    req.on("error", (cause) => {
      reject(new CliError(`cannot ask the server for a link: ${cause.message}`, { cause }));
    });
    req.end();
  });
}
