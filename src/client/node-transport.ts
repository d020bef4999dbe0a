import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { Socket } from "node:net";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { foreignOwner } from "../platform/own-dir.js";
import { sendToken } from "./procman-client.js";

/** The address of a server: its unix socket, or its place on the network. */
export type ServerAddress =
  | { readonly socketPath: string }
  | {
      /** "http://127.0.0.1:7420" or "https://…". */
      readonly baseUrl: string;
      /** The content of the state directory's file `token`. */
      readonly token?: string;
      readonly tls?: TlsOptions;
    };

/** Certificates and keys in PEM form, as node:tls takes them. */
export interface TlsOptions {
  /** Certificates to trust instead of the system's. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate and its key. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

export interface NodeTransport {
  readonly transport: Transport;
  /** The server's address, for messages. */
  readonly server: string;
  readonly close: () => void;
}

/**
 * Makes a transport of Connect over HTTP/1.1, which streams faster than any HTTP/2 stack
 * of Node. Its connections are its own, and kept open for later calls until `close`.
 */
export function createNodeTransport(address: ServerAddress): NodeTransport {
  if ("socketPath" in address) {
    const agent = new OwnSocketAgent({ keepAlive: true, ...WITHOUT_SERVER_NAME });
    const transport = createConnectTransport({
      // The host is for the Host header only.
      baseUrl: "http://localhost",
      httpVersion: "1.1",
      nodeOptions: { socketPath: address.socketPath, agent },
      // On one machine, compressing costs more time than it saves.
      acceptCompression: [],
    });
    return { transport, server: address.socketPath, close: () => agent.destroy() };
  }
  const { baseUrl, token, tls = {} } = address;
  const secure = new URL(baseUrl).protocol === "https:";
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, ...nodeTlsOptions(tls) })
    : new HttpAgent({ keepAlive: true });
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    nodeOptions: { agent },
    interceptors: token === undefined ? [] : [sendToken(token)],
  });
  return { transport, server: baseUrl, close: () => agent.destroy() };
}

/**
 * Connects to sockets of this user's own only: what is sent over one, arguments and
 * environments among it, is for no other user.
 */
class OwnSocketAgent extends HttpAgent {
  override createConnection(
    ...[options, callback]: Parameters<HttpAgent["createConnection"]>
  ): ReturnType<HttpAgent["createConnection"]> {
    const foreign = foreignOwner(options.socketPath ?? "");
    if (foreign === undefined) return super.createConnection(options, callback);
    const error = Object.assign(new Error(foreign), { code: "EACCES" });
    callback?.(error, new Socket());
    return undefined;
  }
}

/**
 * Agents find it out of the Host header otherwise, though only TLS has one: the first time
 * takes a short command a tenth of its own time, for the regular expression of an IPv6 address.
 */
const WITHOUT_SERVER_NAME: object = { servername: "" };

function nodeTlsOptions(tls: TlsOptions): Partial<Record<keyof TlsOptions, string | Buffer>> {
  const present = Object.entries(tls).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    present.map(([name, value]) => [name, typeof value === "string" ? value : Buffer.from(value)]),
  );
}
