import { randomBytes } from "node:crypto";
import { unwatchFile, watchFile } from "node:fs";
import { chmod, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import type { Logger } from "pino";
import { hasCode } from "../../platform/errno.js";

const TOKEN_BYTES = 32;
const POLL_INTERVAL_MS = 1000;
/** A token that somebody else has made may be shorter, but must not be guessable. */
const MIN_TOKEN_CHARS = 16;

/**
 * Reads the token's file, and makes it with a new token where it is missing.
 * @throws Error when the file holds no usable token; it is left as it is.
 */
export async function loadAccessToken(path: string): Promise<string> {
  const token = (await readIfThere(path)) ?? (await createToken(path));
  if (token.length < MIN_TOKEN_CHARS || /\s/.test(token)) {
    throw new Error(
      `${path} holds no token of at least ${MIN_TOKEN_CHARS} characters without spaces; ` +
        "delete it to get a new one",
    );
  }
  return token;
}

/** Replaces the token; a server that watches the file takes it into use within a second. */
export async function rotateAccessToken(path: string): Promise<string> {
  return createToken(path);
}

/** Calls `use` with each new content of the token's file. Returns how to stop that. */
export function watchAccessToken(
  path: string,
  use: (token: string) => void,
  logger: Logger,
): () => void {
  let known: string | undefined;
  const reload = () => {
    loadAccessToken(path).then(
      (token) => {
        if (token === known) return;
        known = token;
        use(token);
        logger.info({ path }, "took a new access token into use");
      },
      (error: unknown) => logger.error({ err: error }, "the access token cannot be read"),
    );
  };
  watchFile(path, { interval: POLL_INTERVAL_MS, persistent: false }, reload);
  return () => unwatchFile(path, reload);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    const token = (await readFile(path, "utf8")).trim();
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) await chmod(path, 0o600);
    return token;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw new Error(`cannot read the access token ${path}`, { cause: error });
  }
}

/** The token is on disk before its file has its name: one that was read survives a power cut. */
async function createToken(path: string): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const temporary = `${path}.tmp`;
  try {
    await rm(temporary, { force: true });
    await writeFile(temporary, `${token}\n`, { mode: 0o600, flag: "wx", flush: true });
    await rename(temporary, path);
  } catch (error) {
    throw new Error(`cannot write the access token ${path}`, { cause: error });
  }
  return token;
}
