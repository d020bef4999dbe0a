import { randomBytes } from "node:crypto";
import { unwatchFile, watchFile } from "node:fs";
import { chmod, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import type { Logger } from "pino";
import { hasCode } from "../../platform/errno.js";

const TOKEN_BYTES = 32;
const POLL_MS = 1000;
/** One that somebody has put there may be of another form, but not be guessable. */
const MIN_TOKEN_CHARS = 16;

/**
 * The token of that file, which is made where it is missing.
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

/** Calls back with a token that was replaced. Returns how to stop that. */
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
  watchFile(path, { interval: POLL_MS, persistent: false }, reload);
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

/** A token that a client has read is the one there will be: it is on disk before it has its name. */
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
