import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { isHere } from "../helpers/foreign-parts.js";
import type { WebPage } from "../helpers/web-page.js";
import { browserClient } from "./browser-client.js";
import { type BufCurlKind, bufCurlClient } from "./buf-curl-client.js";
import type { ConformanceClient, Target, Way } from "./conformance-client.js";
import { connectClients } from "./connect-clients.js";
import { curlClient } from "./curl-client.js";
import { FOREIGN_LANGUAGES } from "./foreign-languages.js";
import { grpcJsClient } from "./grpc-js-client.js";

export type Targets = Readonly<Record<Way, Target>>;

/** Every client of npm's on every way that it can go. */
export function npmClients(targets: Targets): ConformanceClient[] {
  const all = Object.values(targets);
  const buf = (kind: BufCurlKind, way: Way) => bufCurlClient(kind, targets[way]);
  return [
    ...all.map(grpcJsClient),
    ...all.flatMap(connectClients),
    ...all.map(curlClient),
    buf("buf curl, gRPC with reflection", "TCP"),
    buf("buf curl, Connect", "TLS"),
    buf("buf curl, gRPC-Web", "unix socket"),
    buf("buf curl, gRPC-Web", "mTLS"),
  ];
}

/** Those of other languages, where they are installed. */
export async function foreignClients(targets: Targets, dir: string): Promise<ConformanceClient[]> {
  const here = FOREIGN_LANGUAGES.filter((language) => isHere(language.missing()));
  const clients = here.map(async (language) => {
    const own = join(dir, language.kind);
    mkdirSync(own);
    const create = await language.prepare(own);
    return language.ways.map((way) => create(targets[way]));
  });
  return (await Promise.all(clients)).flat();
}

/** Browsers have no unix sockets; their client certificates are for a person to choose. */
export function browserClients(
  targets: Targets,
  browser: Browser,
  page: WebPage,
): Promise<ConformanceClient[]> {
  const ways = [
    ["Connect", "TCP"],
    ["gRPC-Web", "TCP"],
    ["Connect", "TLS"],
    ["gRPC-Web", "TLS"],
  ] as const;
  return Promise.all(
    ways.map(([protocol, way]) => browserClient(protocol, targets[way], browser, page)),
  );
}
