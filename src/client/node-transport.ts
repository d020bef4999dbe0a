import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { Socket } from "node:net";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { invalidArgument } from "../contract/errors.js";
import { defaultStateDir } from "../platform/default-state-dir.js";
import { foreignOwner } from "../platform/own-dir.js";
import { socketPathIn } from "../platform/socket-path.js";
import { checkBaseUrl, checkOptions, checkToken } from "./client-options.js";
import { sendToken } from "./procman-client.js";

/** The address of a server: its unix socket, or its place on the network. */
export type ServerAddress =
  | {
      /** Default: that of the state directory PROCMAN_STATE_DIR, else of ~/.cache/procman. */
      readonly socketPath?: string;
      readonly baseUrl?: never;
    }
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
  const checked = validAddress(address);
  if (checked.kind === "socket") {
    const { socketPath } = checked;
    const agent = new OwnSocketAgent({ keepAlive: true, ...WITHOUT_SERVER_NAME });
    const transport = createConnectTransport({
      // The host is for the Host header only.
      baseUrl: "http://localhost",
      httpVersion: "1.1",
      nodeOptions: { socketPath, agent },
      // On one machine, compressing costs more time than it saves.
      acceptCompression: [],
    });
    return { transport, server: socketPath, close: () => agent.destroy() };
  }
  const { baseUrl, token, tls = {} } = checked;
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

type CheckedAddress =
  | { readonly kind: "socket"; readonly socketPath: string }
  | {
      readonly kind: "network";
      readonly baseUrl: string;
      readonly token: string | undefined;
      readonly tls: TlsOptions | undefined;
    };

/** @throws ProcmanError INVALID_ARGUMENT with a violation for each part that is wrong */
function validAddress(address: ServerAddress): CheckedAddress {
  if (address.baseUrl !== undefined) {
    const { baseUrl, token, tls } = address;
    checkOptions((violations) => {
      if ("socketPath" in address && address.socketPath !== undefined) {
        violations.add("socketPath", "does not go with baseUrl");
      }
      checkBaseUrl(baseUrl, violations);
      checkToken(token, violations);
      if (tls !== undefined && (typeof tls !== "object" || tls === null)) {
        violations.add("tls", "must be an object");
      }
    });
    return { kind: "network", baseUrl, token, tls };
  }
  const { socketPath = defaultSocketPath() } = address;
  if (typeof socketPath === "string" && socketPath !== "" && !socketPath.includes("\0")) {
    return { kind: "socket", socketPath };
  }
  throw invalidArgument("socketPath", "must be the path of a server's socket");
}

function defaultSocketPath(): string | undefined {
  const stateDir = defaultStateDir();
  return stateDir === undefined ? undefined : socketPathIn(stateDir);
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
