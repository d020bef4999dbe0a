/** The longest name there is, and a port: a URL parser takes long for more. */
const MAX_AUTHORITY_CHARS = 253 + ":65535".length;

/** No user name, no path, nothing that a URL parser could read another way. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{0,5})?$/i;

/**
 * Returns the host that a Host header or an :authority names, in lower case and an
 * IPv6 address in brackets; undefined for what is not a host with perhaps a port.
 */
export function hostnameOf(authority: string): string | undefined {
  const known = knownHostnames.get(authority);
  if (known !== undefined) return known;
  const hostname = parseHostname(authority);
  if (hostname === undefined) return undefined;
  if (knownHostnames.size === MAX_KNOWN_HOSTNAMES) knownHostnames.clear();
  knownHostnames.set(authority, hostname);
  return hostname;
}

/** By authorities: nearly every call has the same one, and to parse a URL takes long. */
const knownHostnames = new Map<string, string>();
const MAX_KNOWN_HOSTNAMES = 100;

function parseHostname(authority: string): string | undefined {
  if (authority.length > MAX_AUTHORITY_CHARS || !AUTHORITY.test(authority)) return undefined;
  const url = `http://${authority}`;
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

/**
 * Checks a host name or address that the configuration allows.
 * @throws Error for what is none
 */
export function allowedHostname(host: string): string {
  const hostname = hostnameOf(bracketed(host));
  if (hostname === undefined) {
    throw new Error(`not a host name or address: ${JSON.stringify(host)}`);
  }
  return hostname;
}

/**
 * Checks an origin that the configuration allows. It is to be as browsers send it: no
 * path, no default port. "null" is none, since many pages share it.
 * @throws Error for what is none
 */
export function allowedOrigin(origin: string): string {
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

/** Returns an address as an authority has it: IPv6 in brackets, ::ffff:127.0.0.1 as 127.0.0.1. */
export function bracketed(host: string): string {
  const address = host.replace(/^::ffff:(?=\d+\.)/i, "");
  return /:.*:/.test(address) && !address.startsWith("[") ? `[${address}]` : address;
}
