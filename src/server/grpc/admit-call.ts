import type { IncomingHttpHeaders } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import type { AccessControl } from "../access/access-control.js";
import type { Peer } from "../access/peer.js";

/** Load balancers ask whether the server lives, and have no token. */
const OPEN_TO_ALL = "/grpc.health.v1.Health/";

/** What is done with a call, by its headers. */
export type Admission =
  | { readonly kind: "admitted" }
  /** It needs no token, and has none: anybody's. */
  | { readonly kind: "open" }
  | { readonly kind: "refused"; readonly error: ConnectError };

export type Guard = (headers: IncomingHttpHeaders, peer: Peer) => Admission;

/** Refuses calls over TCP that may not be made. */
export function guardNetwork(access: AccessControl): Guard {
  return (headers, peer) => {
    const { ":path": path = "", authorization, origin } = headers;
    const authority = authorityOf(headers);
    const stranger = access.checkHost(authority, peer) ?? access.checkOrigin(origin, authority);
    if (stranger) return { kind: "refused", error: stranger };
    const isOpen = path.startsWith(OPEN_TO_ALL) && authorization === undefined;
    if (isOpen && access.requiresToken) return { kind: "open" };
    return admitUnless(access.checkToken(authorization, peer));
  };
}

/** Refuses calls over the unix socket that may not be made: those of browsers, whatever leads there. */
export function guardLocal(access: AccessControl): Guard {
  return (headers, peer) => {
    const { origin } = headers;
    if (origin === undefined) return { kind: "admitted" };
    const authority = authorityOf(headers);
    return admitUnless(access.checkHost(authority, peer) ?? access.checkOrigin(origin, authority));
  };
}

function admitUnless(error: ConnectError | undefined): Admission {
  return error ? { kind: "refused", error } : { kind: "admitted" };
}

/** Clients may leave the one out that HTTP/2 has for it. */
function authorityOf(headers: IncomingHttpHeaders): string | undefined {
  return headers[":authority"] ?? headers.host;
}
