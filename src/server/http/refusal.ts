import type { ServerResponse } from "node:http";
import type { ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";

/** Why a request is not served. */
export interface Refusal {
  readonly status: number;
  readonly error: ConnectError;
}

/** Answers in the form of a Connect error, so that clients can tell what was wrong. */
export function refuse(res: ServerResponse, { status, error }: Refusal): void {
  const body = errorToJsonBytes(error, undefined);
  res.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": body.length,
    Connection: "close",
  });
  res.end(body);
}
