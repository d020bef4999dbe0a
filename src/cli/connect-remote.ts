import { createNodeTransport } from "../client/node-transport.js";
import { createProcmanClientFromTransport } from "../client/procman-client.js";
import { ProcmanError } from "../contract/errors.js";
import type { Procman } from "../contract/procman.js";
import { codeOf } from "../platform/errno.js";
import type { ConnectOptions } from "./cli.js";
import { CliError, EXIT } from "./exit-codes.js";
import { printable } from "./format/printable.js";
import { addressOf, type RemoteHost } from "./remote-host.js";

/**
 * Makes a client of a server that is reached by a URL, which has answered by then: a name
 * that is mistyped is told at once, and only a connection that is lost is made again.
 * @throws CliError, ProcmanError
 */
export async function connectRemote(
  host: RemoteHost,
  { makesStateDir = false, startsServer = true }: ConnectOptions,
): Promise<Procman> {
  const dialOptions = [
    ...(makesStateDir ? ["--make-dir"] : []),
    ...(startsServer ? [] : ["--no-start"]),
  ];
  const { transport, server, close } = createNodeTransport(addressOf(host), { dialOptions });
  const once = createProcmanClientFromTransport(transport, { server, reconnect: false });
  try {
    await once.list({ pageSize: 1 });
  } catch (error) {
    close();
    throw explained(error, host);
  }
  return createProcmanClientFromTransport(transport, { server, onClose: close });
}

/** Adds what to do about it, where the error cannot know. */
function explained(error: unknown, { url, options }: RemoteHost): unknown {
  if (!(error instanceof ProcmanError)) return error;
  const { reason, message } = error;
  const failed = (hint: string, exitCode: number = EXIT.error) =>
    new CliError(`${message}${hint}`, { cause: error, exitCode });
  if (reason === "UNAUTHENTICATED" && options.tokenFile === undefined) {
    return failed('; give --token-file, with what "procman token" prints there');
  }
  if (reason === "UNAUTHENTICATED") return failed(` in ${printable(options.tokenFile ?? "")}`);
  const code = causeCode(error);
  if (code === "ERR_SSH_NO_SERVER") return failed("", EXIT.noServer);
  if (/^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code) && options.caFile === undefined) {
    return failed("; --ca-file names the CA to trust");
  }
  const isSecure = /^https:/i.test(url);
  if (isSecure && /wrong version number/.test(message)) {
    return new CliError(`cannot reach procman at ${printable(url)}: there is no TLS at that port`, {
      cause: error,
    });
  }
  // TLS 1.3 tells a client without the certificate that is asked for after its first words.
  const isCutOff = /ALERT|HANDSHAKE|^EPIPE$|^ECONNRESET$/.test(code);
  if (/^(?:EPIPE|ECONNRESET)$/.test(code) && /^http:/i.test(url)) {
    return failed("; it may speak TLS: https://");
  }
  if (isCutOff && isSecure && options.certFile === undefined) {
    return failed("; it may ask for a certificate: --cert-file and --key-file");
  }
  return error;
}

function causeCode(error: Error): string {
  for (let each: unknown = error, depth = 0; each instanceof Error && depth < 8; depth += 1) {
    const code = codeOf(each);
    if (code !== undefined) return code;
    each = each.cause;
  }
  return "";
}
