import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { parseSshUrl } from "../client/ssh-agent.js";
import type { ServerAddress } from "../client/node-transport.js";
import { CliError, EXIT } from "./exit-codes.js";
import { shellWord } from "../platform/shell-word.js";
import { printable } from "./format/printable.js";

/** The options that name a server of another machine, and what it takes to get in. */
export const HOST_OPTIONS = ["host", "tokenFile", "caFile", "certFile", "keyFile"] as const;

export type HostOptions = { readonly [Name in (typeof HOST_OPTIONS)[number]]?: string };

interface HostOption {
  readonly flag: string;
  readonly variable: string;
}

/** How each is given on the command line, and in the environment. */
const GIVEN_BY: Readonly<Record<keyof HostOptions, HostOption>> = {
  host: { flag: "--host", variable: "PROCMAN_HOST" },
  tokenFile: { flag: "--token-file", variable: "PROCMAN_TOKEN_FILE" },
  caFile: { flag: "--ca-file", variable: "PROCMAN_CA_FILE" },
  certFile: { flag: "--cert-file", variable: "PROCMAN_CERT_FILE" },
  keyFile: { flag: "--key-file", variable: "PROCMAN_KEY_FILE" },
};

/** A server that is reached by a URL: mostly one of another machine. */
export interface RemoteHost {
  readonly url: string;
  /** What named it: --host or PROCMAN_HOST. */
  readonly source: string;
  readonly options: HostOptions;
  /** The words by which another command names it, where this one's did. */
  readonly words: readonly string[];
}

/**
 * Returns the server that a command is for, unless that is this machine's own.
 * @param given the options of the command line. Each counts more than its variable, and
 * --state-dir, which names a server of this machine, more than PROCMAN_HOST
 */
export function remoteHostOf(
  given: HostOptions & { readonly stateDir?: string },
  env: NodeJS.ProcessEnv,
): RemoteHost | undefined {
  if (given.host && given.stateDir) {
    throw usage("--state-dir is a directory of this machine; for --host give ssh://HOST/DIR");
  }
  const url = given.host || (given.stateDir ? "" : env[GIVEN_BY.host.variable]);
  const flags = HOST_OPTIONS.filter((name) => given[name]);
  if (!url) {
    const [flag] = flags.map((name) => GIVEN_BY[name].flag);
    if (flag !== undefined) throw usage(`${flag} goes with --host`);
    return undefined;
  }
  const options = Object.fromEntries(
    HOST_OPTIONS.map((name) => [name, given[name] || env[GIVEN_BY[name].variable]]).filter(
      ([, value]) => value,
    ),
  ) as HostOptions;
  const words = flags.map((name) => `${GIVEN_BY[name].flag} ${shellWord(given[name] ?? "")}`);
  const { flag, variable } = GIVEN_BY.host;
  return { url, source: given.host ? flag : variable, options, words };
}

/**
 * Returns what a client is made with.
 * @throws CliError that names the option or the file
 */
export function addressOf({ url, source, options }: RemoteHost): ServerAddress {
  const protocol = URL.canParse(url) ? new URL(url).protocol : undefined;
  switch (protocol) {
    case "ssh:":
      if (!parseSshUrl(url)) {
        throw usage(`${source}: give ssh://[USER@]HOST[:PORT][/STATE-DIR], without a password`);
      }
      return { baseUrl: url };
    case "unix:":
      return { socketPath: decodeURIComponent(new URL(url).pathname) };
    case "http:":
    case "https:":
      return networkAddress(url, protocol === "https:", source, options);
    default:
      throw usage(
        `${source}: give https://HOST[:PORT], ssh://[USER@]HOST, http://127.0.0.1:PORT or unix:///PATH, not ${printable(url)}`,
      );
  }
}

function networkAddress(
  url: string,
  isSecure: boolean,
  source: string,
  { tokenFile, caFile, certFile, keyFile }: HostOptions,
): ServerAddress {
  const { hostname, username, pathname } = new URL(url);
  if (username !== "") throw usage(`${source}: a user is for ssh:// URLs; see --token-file`);
  if (pathname !== "/") throw usage(`${source}: give the URL of a server, without a path`);
  if (!isSecure && tokenFile !== undefined && !isLoopback(hostname)) {
    throw usage(
      `${source}: the token would be sent to ${printable(hostname)} unencrypted; use https:// or ssh://`,
    );
  }
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw usage("--cert-file and --key-file belong together");
  }
  const token = tokenFile === undefined ? undefined : readToken(tokenFile);
  const tls = {
    ...(caFile === undefined ? {} : { ca: readPem("caFile", caFile, "CERTIFICATE") }),
    ...(certFile === undefined ? {} : { cert: readPem("certFile", certFile, "CERTIFICATE") }),
    ...(keyFile === undefined ? {} : { key: readPem("keyFile", keyFile, "PRIVATE KEY") }),
  };
  return {
    baseUrl: url.replace(/\/$/, ""),
    ...(token === undefined ? {} : { token }),
    ...(isSecure ? { tls } : {}),
  };
}

function isLoopback(hostname: string): boolean {
  if (hostname === "localhost" || hostname === "[::1]") return true;
  // A name may begin so, too.
  return isIPv4(hostname) && hostname.startsWith("127.");
}

function readToken(path: string): string {
  const token = read("tokenFile", path).trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CliError(`--token-file: ${printable(path)} holds no token; "procman token" prints it`);
}

/** A file of another kind would be taken for one without certificates, and nobody be trusted. */
function readPem(option: keyof HostOptions, path: string, label: string): string {
  const text = read(option, path);
  if (new RegExp(`^-----BEGIN [A-Z ]*${label}-----`, "m").test(text)) return text;
  const { flag } = GIVEN_BY[option];
  throw new CliError(`${flag}: ${printable(path)} holds no "BEGIN ${label}" (PEM)`);
}

function read(option: keyof HostOptions, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const message = `${GIVEN_BY[option].flag}: cannot read ${printable(path)}: ${(cause as Error).message}`;
    throw new CliError(message, { cause });
  }
}

function usage(message: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage });
}
