import { timingSafeEqual } from "node:crypto";
import { Code, type ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { errorWithInfo } from "../../wire/error-map.js";
import { MAX_WRONG_TOKENS } from "../limits.js";
import { allowedHostname, allowedOrigin, bracketed, hostnameOf } from "./host-and-origin.js";
import type { Peer } from "./peer.js";
import { WindowCounter } from "./window-counter.js";

/** The names by which every machine may be called from itself. */
const LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

const MINUTE_MS = 60_000;
/** How many addresses a minute the log warns of: who guesses must not fill it either. */
const MAX_WARNINGS = 10;

export interface AccessControlOptions {
  readonly token: string;
  /** False where clients have shown a certificate instead. Default true. */
  readonly requiresToken?: boolean;
  /** Host names and addresses, besides this machine's own, that clients may call this server. */
  readonly allowedHosts: readonly string[];
  /** Origins ("https://example.com") whose pages may call this server. */
  readonly allowedOrigins: readonly string[];
  readonly logger: Logger;
}

/** Decides who may call. Each check returns the error to refuse the call with, or undefined. */
export class AccessControl {
  /** Whether calls over TCP need the token. */
  readonly requiresToken: boolean;
  #token: Buffer;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #logger: Logger;
  /** Counts wrong tokens by address. */
  readonly #failures = new WindowCounter({ windowMs: MINUTE_MS });
  readonly #warnings = new WindowCounter({ windowMs: MINUTE_MS });

  constructor(options: AccessControlOptions) {
    const { token, requiresToken = true, allowedHosts, allowedOrigins, logger } = options;
    this.#token = Buffer.from(token);
    this.requiresToken = requiresToken;
    this.#hosts = new Set([...LOCAL_HOSTS, ...allowedHosts.map(allowedHostname)]);
    this.#origins = new Set(allowedOrigins.map(allowedOrigin));
    this.#logger = logger;
  }

  /** Replaces the token; the one before is refused from now on. */
  setToken(token: string): void {
    this.#token = Buffer.from(token);
  }

  /**
   * Protects against DNS rebinding: a page can make a browser call this server by a
   * name that the page's owner has pointed here, but not by another one.
   */
  checkHost(authority: string | undefined, { localAddress }: Peer): ConnectError | undefined {
    const hostname = hostnameOf(authority ?? "");
    if (hostname === undefined) return malformedHost(authority);
    if (this.#hosts.has(hostname)) return undefined;
    if (localAddress !== undefined && hostname === bracketed(localAddress)) return undefined;
    return errorWithInfo(
      Code.PermissionDenied,
      "HOST_NOT_ALLOWED",
      `this server is not to be called ${hostname}; "procman serve --allow-host ${hostname}" allows it`,
    );
  }

  /** Checks only that the authority names a host at all. */
  checkHostSyntax(authority: string | undefined): ConnectError | undefined {
    return hostnameOf(authority ?? "") === undefined ? malformedHost(authority) : undefined;
  }

  /**
   * Checks the origin of the page that makes the call; only browsers send one.
   *
   * @param encrypted whether the call came with TLS. Where it did not, TLS may have
   * ended at a proxy before this server.
   */
  checkOrigin(
    origin: string | undefined,
    authority: string | undefined,
    encrypted = false,
  ): ConnectError | undefined {
    if (origin === undefined || this.isAllowedOrigin(origin)) return undefined;
    if (isOwnOrigin(origin, authority, encrypted)) return undefined;
    return errorWithInfo(
      Code.PermissionDenied,
      "ORIGIN_NOT_ALLOWED",
      `pages of ${origin} may not call this server; "procman serve --allow-origin ${origin}" allows it`,
    );
  }

  /** Whether an origin, other than the server's own, was allowed by the configuration. */
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
    if (isSame(Buffer.from(token), this.#token)) return undefined;
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

/** Whether a page of that origin came from the very server that is called. */
export function isOwnOrigin(
  origin: string,
  authority: string | undefined,
  encrypted: boolean,
): boolean {
  if (!authority) return false;
  // A page that came without TLS can be anybody's, whatever host it says it is from.
  const ownSchemes = encrypted ? ["https"] : ["http", "https"];
  const own = ownSchemes.map((scheme) => `${scheme}://${authority}`.toLowerCase());
  return own.includes(origin.toLowerCase());
}

export function unauthenticated(message: string): ConnectError {
  return errorWithInfo(Code.Unauthenticated, "UNAUTHENTICATED", message);
}

function malformedHost(authority: string | undefined): ConnectError {
  const message =
    authority === undefined ? "the Host header is missing" : "the Host header names no host";
  return errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message);
}

/** How long it takes tells the length of a secret, and nothing else of it. */
function isSame(given: Buffer, secret: Buffer): boolean {
  return given.length === secret.length && timingSafeEqual(given, secret);
}
