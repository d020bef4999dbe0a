import type { ConnectError } from "@connectrpc/connect";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import type { AccessControl } from "./access-control.js";
import { toGrpcStatus } from "./grpc-status.js";
import { peerOf } from "./peer.js";

/** Load balancers ask whether the server lives, and have no token. */
const OPEN_TO_ALL = "/grpc.health.v1.Health/";

/** Refuses calls over TCP that may not be made. */
export function guardNetwork(access: AccessControl): ServerInterceptor {
  return guard((path, metadata, call) => {
    const peer = peerOf(call.getConnectionInfo());
    // Absent in the requests of a client that leaves it out.
    const authority = call.getHost() as string | undefined;
    return (
      access.checkHost(authority, peer) ??
      access.checkOrigin(header(metadata, "origin"), authority) ??
      (path.startsWith(OPEN_TO_ALL)
        ? undefined
        : access.checkToken(header(metadata, "authorization"), peer))
    );
  });
}

/** Refuses calls over the unix socket that may not be made: those of browsers, whatever leads there. */
export function guardLocal(access: AccessControl): ServerInterceptor {
  return guard((_path, metadata, call) =>
    access.checkOrigin(header(metadata, "origin"), call.getHost()),
  );
}

type Check = (
  path: string,
  metadata: Metadata,
  call: ServerInterceptingCallInterface,
) => ConnectError | undefined;

function guard(check: Check): ServerInterceptor {
  return ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, admit) => {
            const refusal = check(path, metadata, call);
            if (refusal) call.sendStatus(toGrpcStatus(refusal));
            else admit(metadata);
          },
        }),
    });
}

function header(metadata: Metadata, name: string): string | undefined {
  return metadata.get(name)[0]?.toString();
}
