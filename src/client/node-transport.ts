import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

/** Where a server is: its unix socket, or its address on the network. */
export type ServerAddress =
  | { readonly socketPath: string }
  | {
      /** "http://127.0.0.1:7420" or "https://…". */
      readonly baseUrl: string;
      /** The content of the state directory's file `token`. */
      readonly token?: string;
      readonly tls?: TlsOptions;
    };

/** In PEM form, as of node:tls. */
export interface TlsOptions {
  /** Certificates to trust instead of the system's. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate and its key. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

export interface NodeTransport {
  readonly transport: Transport;
  /** The server's address as messages name it. */
  readonly server: string;
  readonly close: () => void;
}

/**
 * Connect over HTTP/1.1, which streams faster than any HTTP/2 stack of Node. The
 * connections are this transport's own, kept open for the calls to come.
 */
export function createNodeTransport(address: ServerAddress): NodeTransport {
  if ("socketPath" in address) {
    const agent = new HttpAgent({ keepAlive: true });
    const transport = createConnectTransport({
      // The host is for the Host header only.
      baseUrl: "http://localhost",
      httpVersion: "1.1",
      nodeOptions: { socketPath: address.socketPath, agent },
      // On the same machine compressing costs more time than it saves.
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

function sendToken(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
}

function nodeTlsOptions(tls: TlsOptions): Partial<Record<keyof TlsOptions, string | Buffer>> {
  const present = Object.entries(tls).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    present.map(([name, value]) => [name, typeof value === "string" ? value : Buffer.from(value)]),
  );
}
