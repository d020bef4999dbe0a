import type { IncomingHttpHeaders } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import type { AccessControl } from "../access/access-control.js";
import type { Peer } from "../access/peer.js";

/** The path of calls that need no token: load balancers, which have none, ask for health. */
const HEALTH = "/grpc.health.v1.Health/";

/** What is to be done with a call, by its headers. */
export type Admission =
  | { readonly kind: "admitted" }
  /** The call has no token and needs none: anybody may have made it. */
  | { readonly kind: "anonymous" }
  | { readonly kind: "refused"; readonly error: ConnectError };

export type AdmitCall = (headers: IncomingHttpHeaders, peer: Peer) => Admission;

/** Returns who decides about calls over TCP. */
export function admitFromNetwork(access: AccessControl): AdmitCall {
  return (headers, peer) => {
    const { ":path": path = "", authorization, origin } = headers;
    const authority = authorityOf(headers);
    const error = access.checkHost(authority, peer) ?? access.checkOrigin(origin, authority);
    if (error) return { kind: "refused", error };
    const isAnonymous = path.startsWith(HEALTH) && authorization === undefined;
    if (isAnonymous && access.requiresToken) return { kind: "anonymous" };
    return admitUnless(access.checkToken(authorization, peer));
  };
}

/**
 * Returns who decides about calls over the unix socket. Only those of browsers are
 * refused, which a tunnel may lead there.
 */
export function admitFromSocket(access: AccessControl): AdmitCall {
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

/** Returns the :authority, or the Host header that clients may send instead. */
function authorityOf(headers: IncomingHttpHeaders): string | undefined {
  return headers[":authority"] ?? headers.host;
}
