import { readdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { hasCode } from "../../platform/errno.js";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

/** No code but the page's own, nothing from elsewhere, in no other page's frame. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  // And elements for styles that are empty, which xterm.js makes.
  "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

interface PageFile {
  readonly gzipped: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The built page: nothing in it is secret. It is read when the server starts, a few hundred
 * kB, since an upgrade may replace the files while the server runs on.
 */
export class PageFiles {
  /** By their paths. */
  readonly #files: ReadonlyMap<string, PageFile>;

  /** @param dir of files that the build has compressed. Where it is missing, so is the page. */
  constructor(dir: string | undefined) {
    this.#files = new Map(dir === undefined ? [] : readFiles(dir));
  }

  /** Answers a request for one of the page's files, or returns false. */
  serve(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.method !== "GET" && req.method !== "HEAD") return false;
    const [path = ""] = (req.url ?? "").split("?", 1);
    const file = this.#files.get(path);
    if (!file) return false;
    for (const [name, value] of Object.entries(file.headers)) res.setHeader(name, value);
    if (req.headers["if-none-match"] === file.headers["ETag"]) {
      res.writeHead(304).end();
      return true;
    }
    const takesGzip = /\bgzip\b/.test(req.headers["accept-encoding"] ?? "");
    const body = takesGzip ? file.gzipped : gunzipSync(file.gzipped);
    if (takesGzip) res.setHeader("Content-Encoding", "gzip");
    res.writeHead(200, { "Content-Length": body.length });
    res.end(body);
    return true;
  }
}

function* readFiles(dir: string): Generator<[path: string, PageFile]> {
  for (const name of namesIn(dir)) {
    const path = `/${name.replace(/\.gz$/, "")}`;
    const gzipped = readFileSync(join(dir, name));
    const isPage = path === "/index.html";
    const headers = {
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      // The name of any other file has a hash of what is in it.
      "Cache-Control": isPage ? "no-cache" : "public, max-age=31536000, immutable",
      ETag: `"${createHash("sha256").update(gzipped).digest("base64url").slice(0, 22)}"`,
      Vary: "Accept-Encoding",
      ...SECURITY_HEADERS,
    };
    yield [isPage ? "/" : path, { gzipped, headers }];
  }
}

function namesIn(dir: string): string[] {
  try {
    const entries = readdirSync(dir, { recursive: true, encoding: "utf8" });
    return entries.filter((name) => name.endsWith(".gz"));
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw new Error(`cannot read the page in ${dir}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
