import { createContextKey } from "@connectrpc/connect";
import { defined } from "../../platform/defined.js";

/** The other end of a connection. */
export interface Peer {
  /** "127.0.0.1:40000", or "unix socket"; for logs. */
  readonly name: string;
  /** The IP address, where there is one. */
  readonly remoteAddress?: string;
  /** The IP address of this end, where there is one. */
  readonly localAddress?: string;
}

/** The key of a call's context values under which handlers find who calls them. */
export const peerKey = createContextKey<Peer>({ name: "unknown" });

/** What a socket tells of its ends: nothing where it is a unix socket, or closed. */
interface SocketAddresses {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
}

export function peerOf({ remoteAddress, remotePort, localAddress }: SocketAddresses): Peer {
  if (remoteAddress === undefined) return { name: "unix socket" };
  return { name: `${remoteAddress}:${remotePort}`, remoteAddress, ...defined({ localAddress }) };
}
