import { createContextKey } from "@connectrpc/connect";

/** Who is at the other end of a connection. */
export interface Peer {
  /** "127.0.0.1:40000", or "unix socket". For logs. */
  readonly name: string;
  /** The IP address, where there is one. */
  readonly remoteAddress?: string;
  /** The IP address of this end, where there is one. */
  readonly localAddress?: string;
}

/** Where handlers find who calls them. */
export const peerKey = createContextKey<Peer>({ name: "unknown" });

/** What sockets tell; over a unix socket, and once closed, it is nothing. */
interface SocketAddresses {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
}

export function peerOf({ remoteAddress, remotePort, localAddress }: SocketAddresses): Peer {
  if (remoteAddress === undefined) return { name: "unix socket" };
  return {
    name: `${remoteAddress}:${remotePort}`,
    remoteAddress,
    ...(localAddress === undefined ? {} : { localAddress }),
  };
}
