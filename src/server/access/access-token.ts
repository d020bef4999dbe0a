import { randomBytes } from "node:crypto";
import { linkSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Logger } from "pino";
import { syncPath, writeFileDurable } from "../../platform/durable-file.js";
import { hasCode } from "../../platform/errno.js";
import { readOwnFile } from "../../platform/own-file.js";
import { pollFiles } from "../../platform/poll-files.js";

const TOKEN_BYTES = 32;
/** A token that somebody else has made may be shorter, but must not be guessable. */
const MIN_TOKEN_CHARS = 16;

/**
 * Reads the token's file, and makes it with a new token where it is missing. Of many that
 * do so at once, all return the same token.
 * @throws Error when the file holds no usable token, or is not this user's own; it is left
 * as it is.
 */
export async function loadAccessToken(path: string): Promise<string> {
  const token = readIfThere(path) ?? (await createToken(path));
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
  const token = newToken();
  await publish(path, token, (temporary) => renameSync(temporary, path));
  return token;
}

/**
 * Calls `use` with each new content of the token's file, other than what is known of it.
 * Returns how to stop that.
 */
export function watchAccessToken(
  path: string,
  known: string,
  use: (token: string) => void,
  logger: Logger,
): () => void {
  let current = known;
  return pollFiles([path], () => {
    loadAccessToken(path).then(
      (token) => {
        if (token === current) return;
        current = token;
        use(token);
        logger.info({ path }, "took a new access token into use");
      },
      (error: unknown) => logger.error({ err: error }, "the access token cannot be read"),
    );
  });
}

function readIfThere(path: string): string | undefined {
  try {
    return readOwnFile(path).trim();
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw new Error(`cannot read the access token ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Makes the file, unless somebody else does at the same time: then their token counts. */
async function createToken(path: string): Promise<string> {
  const token = newToken();
  await publish(path, token, (temporary) => {
    try {
      linkSync(temporary, path);
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
    }
  });
  return readIfThere(path) ?? token;
}

/**
 * Writes the token to a file of a name that nobody else uses, and calls `name` to give it
 * its own. It is on disk before, so that a token that was read survives a power cut.
 */
async function publish(
  path: string,
  token: string,
  name: (temporary: string) => void,
): Promise<void> {
  const temporary = `${path}.${newToken()}`;
  try {
    await writeFileDurable(temporary, `${token}\n`);
    name(temporary);
    await syncPath(dirname(path));
  } catch (cause) {
    throw new Error(`cannot write the access token ${path}`, { cause });
  } finally {
    rmSync(temporary, { force: true });
  }
}

function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString("base64url");
}
