import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { hasCode } from "../../platform/errno.js";

export interface ListenAddress {
  /** A host name or address. */
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
}

/** Listens on an address; resolves with the one that it was given. */
export async function listenOnTcp(server: Server, address: ListenAddress): Promise<AddressInfo> {
  const { host, port } = address;
  try {
    return await listen(server, host, port);
  } catch (cause) {
    const why = hasCode(cause, "EADDRINUSE") ? "the port is in use" : (cause as Error).message;
    throw new Error(`cannot listen on ${formatAddress({ host, port })}: ${why}`, { cause });
  }
}

/** Formats an address as in a URL: IPv6 in brackets. */
export function formatAddress({ host, port }: { host: string; port: number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  server.listen({ host, port });
  await once(server, "listening");
  return server.address() as AddressInfo;
}
