import { createHash, timingSafeEqual } from "node:crypto";
import { Code, type ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { errorWithInfo } from "../../wire/error-map.js";
import { parseAuthority } from "./host-and-origin.js";
import { MAX_WRONG_TOKENS } from "../limits.js";
import type { Peer } from "./peer.js";
import { WindowCounter } from "./window-counter.js";

/** What everybody may call this machine from itself. */
const LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

const MINUTE_MS = 60_000;
/** In a minute, about all addresses: who guesses must not fill the log either. */
const MAX_WARNINGS = 10;

export interface AccessControlOptions {
  readonly token: string;
  /** Not where clients have shown a certificate. Default true. */
  readonly requiresToken?: boolean;
  /** Host names and addresses, besides this machine's own, that clients may call this server. */
  readonly allowedHosts: readonly string[];
  /** Origins ("https://example.com") whose pages may call this server. */
  readonly allowedOrigins: readonly string[];
  readonly logger: Logger;
}

/** Who may call. Every check answers with the error to refuse with, or nothing. */
export class AccessControl {
  /** Whether those who come by network have to know the token. */
  readonly requiresToken: boolean;
  #tokenHash: Buffer;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #logger: Logger;
  /** Wrong tokens from each address. */
  readonly #failures = new WindowCounter({ windowMs: MINUTE_MS });
  readonly #warnings = new WindowCounter({ windowMs: MINUTE_MS });

  constructor(options: AccessControlOptions) {
    const { token, requiresToken = true, allowedHosts, allowedOrigins, logger } = options;
    this.#tokenHash = hashOf(token);
    this.requiresToken = requiresToken;
    this.#hosts = new Set([...LOCAL_HOSTS, ...allowedHosts.map(hostnameOf)]);
    this.#origins = new Set(allowedOrigins.map(normalOrigin));
    this.#logger = logger;
  }

  /** From now on this one counts, and no other. */
  setToken(token: string): void {
    this.#tokenHash = hashOf(token);
  }

  /**
   * Against DNS rebinding: a page can make a browser call this server by a name
   * that the page's owner has pointed here, but not by another one.
   */
  checkHost(authority: string | undefined, peer: Peer): ConnectError | undefined {
    const parsed = parseAuthority(authority ?? "");
    if (!parsed) return malformedHost(authority);
    const { hostname } = parsed;
    if (this.#hosts.has(hostname) || hostname === bracketed(peer.localAddress)) return undefined;
    return errorWithInfo(
      Code.PermissionDenied,
      "HOST_NOT_ALLOWED",
      `this server is not to be called ${hostname}; its allowed hosts can be configured`,
    );
  }

  /** Only that it names a host at all. */
  checkHostSyntax(authority: string | undefined): ConnectError | undefined {
    return parseAuthority(authority ?? "") ? undefined : malformedHost(authority);
  }

  /**
   * Only browsers send an origin: that of the page which makes the call.
   *
   * @param encrypted whether it came with TLS. Without, TLS may end at a proxy before this server.
   */
  checkOrigin(
    origin: string | undefined,
    authority: string | undefined,
    encrypted = false,
  ): ConnectError | undefined {
    if (origin === undefined || this.isAllowedOrigin(origin)) return undefined;
    // A page that came without TLS can be anybody's, whatever host it says it is from.
    const ownSchemes = encrypted ? ["https"] : ["http", "https"];
    const own = authority && ownSchemes.map((scheme) => `${scheme}://${authority}`);
    if (own && own.some((each) => each.toLowerCase() === origin.toLowerCase())) return undefined;
    return errorWithInfo(
      Code.PermissionDenied,
      "ORIGIN_NOT_ALLOWED",
      `pages of ${origin} may not call this server; its allowed origins can be configured`,
    );
  }

  /** Whether it is another origin whose pages are let in on purpose. */
  isAllowedOrigin(origin: string): boolean {
    return this.#origins.has(origin.toLowerCase());
  }

  /** @param authorization the header of that name: "Bearer <token>". */
  checkToken(authorization: string | undefined, peer: Peer): ConnectError | undefined {
    if (!this.requiresToken) return undefined;
    const token = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined) {
      return unauthenticated('send "authorization: Bearer <token>", with the server\'s token');
    }
    if (timingSafeEqual(hashOf(token), this.#tokenHash)) return undefined;
    const address = peer.remoteAddress ?? "";
    const failures = this.#failures.count(address);
    if (failures <= MAX_WRONG_TOKENS) return unauthenticated("wrong token");
    if (failures === MAX_WRONG_TOKENS + 1) this.#warnOfGuessing(address);
    return errorWithInfo(
      Code.ResourceExhausted,
      "UNAUTHENTICATED",
      "wrong token, too many times; try again in a minute",
    );
  }

  #warnOfGuessing(address: string): void {
    if (this.#warnings.count("") > MAX_WARNINGS) return;
    this.#logger.warn(
      { address },
      `more than ${MAX_WRONG_TOKENS} wrong tokens in a minute from one address`,
    );
  }
}

function unauthenticated(message: string): ConnectError {
  return errorWithInfo(Code.Unauthenticated, "UNAUTHENTICATED", message);
}

function malformedHost(authority: string | undefined): ConnectError {
  const message =
    authority === undefined ? "the Host header is missing" : "the Host header names no host";
  return errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message);
}

/** Of equal length whatever was sent, so that comparing tells nothing about the token. */
function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function hostnameOf(host: string): string {
  const parsed = parseAuthority(bracketed(host));
  if (!parsed) throw new Error(`not a host name or address: ${JSON.stringify(host)}`);
  return parsed.hostname;
}

/** As browsers send it: no path, no default port. "null" is what many pages share. */
function normalOrigin(origin: string): string {
  const text = origin.toLowerCase();
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === "http:" || url?.protocol === "https:";
  const isOrigin = isWeb ? url.origin === text : /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(text);
  if (!isOrigin) {
    const hint = isWeb ? `; did you mean ${url.origin}?` : "";
    throw new Error(`not an origin: ${JSON.stringify(origin)}${hint}`);
  }
  return text;
}

/** As it stands in an authority: IPv6 in brackets, and IPv4 as itself on a socket for both. */
function bracketed(host: string): string;
function bracketed(host: string | undefined): string | undefined;
function bracketed(host: string | undefined): string | undefined {
  if (host === undefined) return undefined;
  const address = host.replace(/^::ffff:(?=\d+\.)/i, "");
  return /:.*:/.test(address) && !address.startsWith("[") ? `[${address}]` : address;
}
