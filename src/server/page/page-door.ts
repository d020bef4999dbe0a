import type { IncomingMessage, ServerResponse } from "node:http";
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { ConnectError } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import type { Logger } from "pino";
import type { Procman } from "../../contract/procman.js";
import { encodeError, errorWithInfo } from "../../wire/error-map.js";
import { type AccessControl, isOwnOrigin, unauthenticated } from "../access/access-control.js";
import type { Peer } from "../access/peer.js";
import { type Download, parseDownload, sendDownload } from "./page-downloads.js";
import { OneTimeSecrets } from "./one-time-secrets.js";
import { MAX_AGE_MS, type PageSession, type PageSessions } from "./page-sessions.js";

const LINK_LIFETIME_MS = 60_000;
const DOWNLOAD = /^GET \/ui\/downloads\/([\w-]+)$/;
/** More than a link's secret takes. */
const MAX_BODY_BYTES = 1024;

/** The header in which the page sends its key. No page of another origin may send it. */
const KEY_HEADER = "procman-page-key";

const GET_A_LINK = 'run "procman ui" for a new link';

export interface PageDoorOptions {
  readonly access: AccessControl;
  readonly sessions: PageSessions;
  readonly procman: Pick<Procman, "attach">;
  readonly stateDir: string;
  readonly logger: Logger;
}

/** Who asks, by the connection or by what the request brings. */
type Authority =
  /** The owner of the socket, or who has the token or a certificate. */
  | { readonly type: "owner" }
  | { readonly type: "session"; readonly session: PageSession }
  | { readonly type: "nobody"; readonly error: ConnectError };

/**
 * Lets the page in: a link that counts once is exchanged for a session, which is a cookie
 * and a key. Links are for whoever may call anyway, so for the socket's owner.
 */
export class PageDoor {
  readonly #access: AccessControl;
  readonly #sessions: PageSessions;
  readonly #logger: Logger;
  readonly #about: object;
  readonly #cookieName: string;
  readonly #procman: Pick<Procman, "attach">;
  /** Of files: a browser that saves one sends no header of the page's. */
  readonly #downloads = new OneTimeSecrets<Download>({ lifetimeMs: LINK_LIFETIME_MS });
  readonly #links = new OneTimeSecrets<true>({ lifetimeMs: LINK_LIFETIME_MS });

  constructor({ access, sessions, procman, stateDir, logger }: PageDoorOptions) {
    this.#access = access;
    this.#sessions = sessions;
    this.#procman = procman;
    this.#logger = logger;
    this.#about = { host: hostname(), stateDir };
    // Browsers send cookies to all ports of a host, where other servers of procman may be.
    const id = createHash("sha256").update(stateDir).digest("hex").slice(0, 12);
    this.#cookieName = `procman-${id}`;
  }

  /** Returns the error to refuse a call over TCP with. A session that ends breaks it off. */
  checkCall(req: IncomingMessage, res: ServerResponse, peer: Peer): ConnectError | undefined {
    const authority = this.#authorityOf(req, peer, { isLocal: false });
    if (authority.type === "nobody") return authority.error;
    if (authority.type === "session") {
      const unsubscribe = authority.session.onEnd(() => res.destroy());
      res.once("close", unsubscribe);
    }
    return undefined;
  }

  /** Answers a request for a link or a session, or returns false when its path is none of these. */
  serve(req: IncomingMessage, res: ServerResponse, peer: Peer, isLocal: boolean): boolean {
    const answer = this.#handlerOf(req);
    if (!answer) return false;
    res.setHeader("Cache-Control", "no-store");
    const authority = this.#authorityOf(req, peer, { isLocal });
    answer(req, res, authority).catch((error: unknown) => {
      this.#logger.error({ err: error, peer: peer.name }, "a request of the page failed");
      if (res.headersSent) return void res.destroy();
      refuse(res, encodeError(error));
    });
    return true;
  }

  /** Ends all links and sessions, which were made with the token from before. */
  async setToken(token: string): Promise<void> {
    this.#links.clear();
    await this.#sessions.setToken(token);
  }

  #handlerOf({ method, url }: IncomingMessage) {
    switch (`${method} ${url}`) {
      case "POST /ui/downloads":
        return this.#createDownload;
      case "POST /ui/links":
        return this.#createLink;
      case "GET /ui/session":
        return this.#tellSession;
      case "POST /ui/session":
        return this.#openSession;
      case "DELETE /ui/session":
        return this.#endSession;
      case "DELETE /ui/sessions":
        return this.#endSessions;
      default:
        return DOWNLOAD.test(`${method} ${url}`) ? this.#sendDownload : undefined;
    }
  }

  readonly #createLink = async (_: IncomingMessage, res: ServerResponse, authority: Authority) => {
    // A session makes no others: it would outlive itself.
    if (authority.type !== "owner") return refuse(res, ownerOnly(authority));
    const secret = this.#links.create(true);
    sendJson(res, 200, { secret, lifetimeMs: LINK_LIFETIME_MS });
  };

  readonly #createDownload = async (
    req: IncomingMessage,
    res: ServerResponse,
    authority: Authority,
  ) => {
    if (authority.type === "nobody") return refuse(res, authority.error);
    const download = parseDownload(await readBody(req));
    if (!download) return refuse(res, invalid("name a job and one of its streams"));
    sendJson(res, 200, { path: `ui/downloads/${this.#downloads.create(download)}` });
  };

  readonly #sendDownload = async ({ url = "" }: IncomingMessage, res: ServerResponse) => {
    const download = this.#downloads.use(url.slice(url.lastIndexOf("/") + 1));
    if (!download) return refuse(res, unauthenticated("this link to a file was used, or is old"));
    await sendDownload(this.#procman, download, res);
  };

  readonly #tellSession = async (_: IncomingMessage, res: ServerResponse, authority: Authority) => {
    if (authority.type === "nobody") return refuse(res, authority.error);
    sendJson(res, 200, { type: authority.type, ...this.#about });
  };

  readonly #openSession = async (
    req: IncomingMessage,
    res: ServerResponse,
    authority: Authority,
  ) => {
    if (!comesFromOwnPage(req)) return refuse(res, notFromThePage());
    if (authority.type === "owner") return sendJson(res, 200, { type: "owner" });
    const link = await readBody(req);
    if (this.#links.use(link) === undefined) {
      const message = `this link was used already, or is older than a minute: ${GET_A_LINK}`;
      return refuse(res, unauthenticated(message));
    }
    const { cookie, key } = await this.#sessions.create();
    this.#logger.info("a browser was let in");
    res.setHeader("Set-Cookie", this.#cookie(req, cookie, MAX_AGE_MS / 1000));
    sendJson(res, 200, { type: "session", key });
  };

  readonly #endSession = async (
    req: IncomingMessage,
    res: ServerResponse,
    authority: Authority,
  ) => {
    if (authority.type === "session") await this.#sessions.end(authority.session);
    res.setHeader("Set-Cookie", this.#cookie(req, "", 0));
    sendJson(res, 200, {});
  };

  readonly #endSessions = async (_: IncomingMessage, res: ServerResponse, authority: Authority) => {
    if (authority.type !== "owner") return refuse(res, ownerOnly(authority));
    this.#links.clear();
    sendJson(res, 200, { ended: await this.#sessions.endAll() });
  };

  #authorityOf(req: IncomingMessage, peer: Peer, { isLocal }: { isLocal: boolean }): Authority {
    if (isLocal) return { type: "owner" };
    const { authorization } = req.headers;
    const cookie = cookiesOf(req).get(this.#cookieName);
    if (authorization !== undefined || cookie === undefined) {
      const error = this.#access.checkToken(authorization, peer);
      return error ? { type: "nobody", error } : { type: "owner" };
    }
    if (!this.#access.requiresToken) return { type: "owner" };
    if (!comesFromOwnPage(req)) return { type: "nobody", error: notFromThePage() };
    const key = String(req.headers[KEY_HEADER] ?? "");
    const session = this.#sessions.find({ cookie, key });
    if (session) return { type: "session", session };
    const error = unauthenticated(`the session of this page has ended: ${GET_A_LINK}`);
    return { type: "nobody", error };
  }

  #cookie(req: IncomingMessage, value: string, maxAgeS: number): string {
    const attributes = [`Max-Age=${maxAgeS}`, "Path=/", "HttpOnly", "SameSite=Strict"];
    // TLS may have ended at a proxy.
    const isSecure = "encrypted" in req.socket || req.headers.origin?.startsWith("https:");
    if (isSecure) attributes.push("Secure");
    return [`${this.#cookieName}=${value}`, ...attributes].join("; ");
  }
}

/**
 * Whether a browser says that this server's own page makes the request. Browsers name the
 * origin with each POST, and with a GET only where they have no Sec-Fetch-Site.
 */
function comesFromOwnPage(req: IncomingMessage): boolean {
  const { host, origin } = req.headers;
  const site = req.headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") return false;
  if (origin === undefined) return site !== undefined;
  return isOwnOrigin(origin, host, "encrypted" in req.socket);
}

function invalid(message: string): ConnectError {
  return errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message);
}

function notFromThePage(): ConnectError {
  const message = "a session counts only for requests of the server's own page";
  return errorWithInfo(Code.PermissionDenied, "ORIGIN_NOT_ALLOWED", message);
}

function ownerOnly(authority: Authority): ConnectError {
  if (authority.type === "nobody") return authority.error;
  return unauthenticated("a session does not do for this: it takes the token, or the socket");
}

function cookiesOf({ headers }: IncomingMessage): Map<string, string> {
  const pairs = (headers.cookie ?? "").split(";").flatMap((text): [string, string][] => {
    const at = text.indexOf("=");
    return at === -1 ? [] : [[text.slice(0, at).trim(), text.slice(at + 1).trim()]];
  });
  return new Map(pairs);
}

async function readBody(req: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of req) {
    text += String(chunk);
    if (text.length > MAX_BODY_BYTES) return "";
  }
  return text;
}

function refuse(res: ServerResponse, error: ConnectError): void {
  send(res, codeToHttpStatus(error.code), Buffer.from(errorToJsonBytes(error, undefined)));
}

function sendJson(res: ServerResponse, status: number, value: object): void {
  send(res, status, Buffer.from(JSON.stringify(value)));
}

function send(res: ServerResponse, status: number, body: Buffer): void {
  res.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length });
  res.end(body);
}
