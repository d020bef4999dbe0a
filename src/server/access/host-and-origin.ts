/** What a Host header or an :authority names. */
export interface Authority {
  /** Lower case; an IPv6 address is in brackets. */
  readonly hostname: string;
}

/** No user name, no path, nothing that a URL parser could read another way. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{0,5})?$/i;

/** Undefined for what is not a host name or address with perhaps a port. */
export function parseAuthority(text: string): Authority | undefined {
  if (!AUTHORITY.test(text)) return undefined;
  const url = `http://${text}`;
  return URL.canParse(url) ? { hostname: new URL(url).hostname } : undefined;
}
