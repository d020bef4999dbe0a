import { constants, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { defined } from "../../platform/defined.js";
import { pollFiles } from "../../platform/poll-files.js";

/** The files of a server's certificates, in PEM form. */
export interface TlsFiles {
  /** The server's certificate, followed by those between it and its root. */
  readonly certPath: string;
  readonly keyPath: string;
  /** The CA of clients' certificates. With it a client must have one, and needs no token. */
  readonly clientCaPath?: string;
}

/**
 * Of TLS 1.2, the suites with forward secrecy and authenticated encryption; of TLS 1.3, all.
 */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** @throws Error that names the file that cannot be read, or used. */
export function readTlsFiles({ certPath, keyPath, clientCaPath }: TlsFiles): SecureContextOptions {
  return {
    cert: readPem(certPath),
    key: readPem(keyPath),
    ...defined({ ca: clientCaPath === undefined ? undefined : readCertificates(clientCaPath) }),
    minVersion: "TLSv1.2",
    ciphers: CIPHERS,
    // Each renegotiation costs as much as a new connection, and no client needs one. Node's
    // own limit to them does not hold before anything else was sent.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/**
 * Calls `use` with each renewal of the files, other than what is in use. Where they cannot
 * be read or used, the certificates from before stay in force. Returns how to stop that.
 */
export function watchTlsFiles(
  files: TlsFiles,
  inUse: SecureContextOptions,
  use: (context: SecureContextOptions) => void,
  logger: Logger,
): () => void {
  const paths = [files.certPath, files.keyPath, files.clientCaPath].filter(
    (path) => path !== undefined,
  );
  let current = inUse;
  return pollFiles(paths, () => {
    try {
      const renewed = readTlsFiles(files);
      if (isDeepStrictEqual(renewed, current)) return;
      use(renewed);
      current = renewed;
      logger.info({ files }, "took the renewed certificates into use");
    } catch (error) {
      logger.error({ err: error, files }, "renewed certificates cannot be used; the old ones stay");
    }
  });
}

/** A file without a certificate would let in nobody, and nobody would be told. */
function readCertificates(path: string): Buffer {
  const pem = readPem(path);
  try {
    const blocks = pem.toString("latin1").match(CERTIFICATE) ?? [];
    const certificates = blocks.map((block) => new X509Certificate(block));
    if (certificates.length > 0) return pem;
  } catch (cause) {
    throw new Error(`${path} holds no usable certificate: ${(cause as Error).message}`, { cause });
  }
  throw new Error(`${path} holds no certificate in PEM form`);
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}
