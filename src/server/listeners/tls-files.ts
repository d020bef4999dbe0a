import { readFileSync, unwatchFile, watchFile } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import type { Logger } from "pino";

/** Where a server's certificates are, in PEM form. */
export interface TlsFiles {
  /** The server's certificate, followed by those between it and its root. */
  readonly certPath: string;
  readonly keyPath: string;
  /** Who signs clients' certificates. With it a client must have one, and needs no token. */
  readonly clientCaPath?: string;
}

const POLL_MS = 1000;

/** @throws Error that names the file that cannot be read. */
export function readTlsFiles({ certPath, keyPath, clientCaPath }: TlsFiles): SecureContextOptions {
  return {
    cert: readPem(certPath),
    key: readPem(keyPath),
    ...(clientCaPath === undefined ? {} : { ca: readPem(clientCaPath) }),
    minVersion: "TLSv1.2",
  };
}

/**
 * Calls back with certificates that were renewed; what cannot be read or used
 * leaves those in force that were. Returns how to stop that.
 */
export function watchTlsFiles(
  files: TlsFiles,
  use: (context: SecureContextOptions) => void,
  logger: Logger,
): () => void {
  const paths = [files.certPath, files.keyPath, files.clientCaPath].filter(
    (path) => path !== undefined,
  );
  const reload = () => {
    try {
      use(readTlsFiles(files));
      logger.info({ files }, "took the renewed certificates into use");
    } catch (error) {
      logger.error({ err: error, files }, "renewed certificates cannot be used; the old ones stay");
    }
  };
  // By polling: a renewal often replaces the file, or a link on the way to it.
  for (const path of paths) watchFile(path, { interval: POLL_MS, persistent: false }, reload);
  return () => {
    for (const path of paths) unwatchFile(path, reload);
  };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}
