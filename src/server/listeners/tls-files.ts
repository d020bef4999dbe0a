import { readFileSync, unwatchFile, watchFile } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import type { Logger } from "pino";
import { defined } from "../../platform/defined.js";

/** The files of a server's certificates, in PEM form. */
export interface TlsFiles {
  /** The server's certificate, followed by those between it and its root. */
  readonly certPath: string;
  readonly keyPath: string;
  /** The CA of clients' certificates. With it a client must have one, and needs no token. */
  readonly clientCaPath?: string;
}

const POLL_INTERVAL_MS = 1000;

/** @throws Error that names the file that cannot be read. */
export function readTlsFiles({ certPath, keyPath, clientCaPath }: TlsFiles): SecureContextOptions {
  return {
    cert: readPem(certPath),
    key: readPem(keyPath),
    ...defined({ ca: clientCaPath === undefined ? undefined : readPem(clientCaPath) }),
    minVersion: "TLSv1.2",
  };
}

/**
 * Calls `use` with each renewal of the files. Where they cannot be read or used, the
 * certificates from before stay in force. Returns how to stop that.
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
  // Files are polled, since a renewal often replaces the file or a link on the way to it.
  for (const path of paths)
    watchFile(path, { interval: POLL_INTERVAL_MS, persistent: false }, reload);
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
