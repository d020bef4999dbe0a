import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { resolve } from "node:path";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Violations } from "../contract/errors.js";
import { defaultStateDir } from "../platform/default-state-dir.js";
import { socketPathIn } from "../platform/socket-path.js";
import { checkBaseUrl, checkOptions, checkToken } from "./client-options.js";
import { sendToken } from "./procman-client.js";
import { SocketAgent } from "./socket-agent.js";
import { parseSshUrl, SshAgent, type SshTarget } from "./ssh-agent.js";

/** The address of a server: its state directory, its unix socket, or its place on the network. */
export type ServerAddress =
  | {
      /** Default: PROCMAN_STATE_DIR, else ~/.cache/procman. */
      readonly stateDir?: string;
      /**
       * Whether to start a server in the background where none runs, as the command line
       * does: at the first call, and again when a connection is made anew. Default false.
       */
      readonly startServer?: boolean;
      readonly socketPath?: never;
      readonly baseUrl?: never;
    }
  | {
      readonly socketPath: string;
      readonly stateDir?: never;
      readonly startServer?: never;
      readonly baseUrl?: never;
    }
  | {
      /**
       * "http://127.0.0.1:7420", "https://…", or "ssh://user@host:22/state/dir": that has
       * ssh(1) run `procman dial-stdio` there for each connection. A server is started there
       * where none runs. Of an ssh URL the host alone is needed.
       */
      readonly baseUrl: string;
      /** The content of the state directory's file `token`. Not for ssh, which needs none. */
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

/** What the command line asks for, beside what an address can tell. */
export interface TransportOptions {
  /** More words for `procman dial-stdio` on the machine of an ssh URL. Default --make-dir. */
  readonly dialOptions?: readonly string[];
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
export function createNodeTransport(
  address: ServerAddress,
  { dialOptions = ["--make-dir"] }: TransportOptions = {},
): NodeTransport {
  const checked = validAddress(address);
  if (checked.kind === "socket") {
    const { socketPath, startIn } = checked;
    const agent = new SocketAgent({ keepAlive: true, startIn, ...WITHOUT_SERVER_NAME });
    const transport = createConnectTransport({
      baseUrl: ANY_HOST,
      httpVersion: "1.1",
      nodeOptions: { socketPath, agent },
      // On one machine, compressing costs more time than it saves.
      acceptCompression: [],
    });
    return { transport, server: socketPath, close: () => agent.destroy() };
  }
  if (checked.kind === "ssh") {
    const { target, baseUrl } = checked;
    const agent = new SshAgent({ target, dialOptions, keepAlive: true, ...WITHOUT_SERVER_NAME });
    const transport = createConnectTransport({
      baseUrl: ANY_HOST,
      httpVersion: "1.1",
      nodeOptions: { agent },
    });
    return { transport, server: baseUrl, close: () => agent.destroy() };
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

/** For the Host header only. */
const ANY_HOST = "http://localhost";

type CheckedAddress =
  | { readonly kind: "ssh"; readonly baseUrl: string; readonly target: SshTarget }
  | { readonly kind: "socket"; readonly socketPath: string; readonly startIn?: string }
  | {
      readonly kind: "network";
      readonly baseUrl: string;
      readonly token: string | undefined;
      readonly tls: TlsOptions | undefined;
    };

/** @throws ProcmanError INVALID_ARGUMENT with a violation for each part that is wrong */
function validAddress(address: ServerAddress): CheckedAddress {
  if (address.baseUrl !== undefined) return validNetworkAddress(address);
  const { socketPath, stateDir, startServer } = address as Record<string, unknown>;
  const violations = new Violations();
  if (socketPath !== undefined) {
    checkPath("socketPath", socketPath, "of a server's socket", violations);
    if (stateDir !== undefined) violations.add("stateDir", "does not go with socketPath");
    if (startServer) violations.add("startServer", "needs stateDir, not socketPath");
    violations.throwIfAny();
    return { kind: "socket", socketPath: socketPath as string };
  }
  const given = stateDir ?? defaultStateDir();
  if (given === undefined) {
    violations.add("stateDir", "must be given, as this user has no home directory (HOME)");
  } else {
    checkPath("stateDir", given, "of a directory", violations);
  }
  if (startServer !== undefined && typeof startServer !== "boolean") {
    violations.add("startServer", "must be true or false");
  }
  violations.throwIfAny();
  const dir = resolve(given as string);
  return {
    kind: "socket",
    socketPath: socketPathIn(dir),
    ...(startServer ? { startIn: dir } : {}),
  };
}

function validNetworkAddress(address: ServerAddress & { baseUrl: string }): CheckedAddress {
  const { baseUrl, token, tls } = address;
  const given: Partial<Record<string, unknown>> = { ...address };
  const isSsh = typeof baseUrl === "string" && /^ssh:/i.test(baseUrl);
  const target = isSsh ? parseSshUrl(baseUrl) : undefined;
  checkOptions((violations) => {
    for (const name of ["socketPath", "stateDir", "startServer"]) {
      if (given[name]) violations.add(name, "does not go with baseUrl");
    }
    if (isSsh) {
      if (!target) violations.add("baseUrl", 'must be a URL such as "ssh://user@host:22"');
      if (token !== undefined) violations.add("token", "does not go with an ssh URL");
      if (tls !== undefined) violations.add("tls", "does not go with an ssh URL");
      return;
    }
    checkBaseUrl(baseUrl, violations);
    checkToken(token, violations);
    if (tls !== undefined && (typeof tls !== "object" || tls === null)) {
      violations.add("tls", "must be an object");
    }
  });
  if (target) return { kind: "ssh", baseUrl, target };
  return { kind: "network", baseUrl, token, tls };
}

function checkPath(field: string, path: unknown, what: string, violations: Violations): void {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return;
  violations.add(field, `must be the path ${what}`);
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
