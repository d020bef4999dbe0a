import { rmSync } from "node:fs";
import type { Logger } from "pino";
import { syncPath, writeFileAtomic } from "../../platform/durable-file.js";
import { hasCode } from "../../platform/errno.js";
import { readOwnFile } from "../../platform/own-file.js";
import { SerialQueue } from "../../platform/serial-queue.js";
import { dirname } from "node:path";
import { hashOf, newSecret } from "./one-time-secrets.js";

const HOUR_MS = 3_600_000;
/** A session that nobody has used for so long ends. */
const MAX_IDLE_MS = 12 * HOUR_MS;
/** So does one that is so old. */
export const MAX_AGE_MS = 7 * 24 * HOUR_MS;
/** One more ends the one that was used longest ago. */
const MAX_SESSIONS = 100;
/** When a session was used last is written no more often. */
const USE_WRITE_INTERVAL_MS = HOUR_MS / 4;
const CHECK_INTERVAL_MS = 60_000;

/** What a browser has to show. Each is of no use without the other one. */
export interface SessionSecrets {
  /** In a cookie that no script can read. Browsers send it to every port of a host. */
  readonly cookie: string;
  /** In a header. The page keeps it where only pages of its own host and port can read it. */
  readonly key: string;
}

export interface PageSession {
  /** Calls back when the session has ended. @returns how to unsubscribe */
  onEnd(listener: () => void): () => void;
}

export interface PageSessionsOptions {
  /** Where they are kept, so that a page goes on when the server was restarted. */
  readonly path: string;
  /** The server's token: a session counts no longer than that. */
  readonly token: string;
  readonly logger: Logger;
  readonly now?: () => number;
}

/** The browsers that were let in. On disk there are only hashes of what they have to show. */
export class PageSessions {
  readonly #path: string;
  #token: string;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #sessions = new Map<string, Session>();
  readonly #writes = new SerialQueue();
  readonly #timer: NodeJS.Timeout;

  /** Reads what an earlier server has left. What cannot be read lets nobody in. */
  constructor({ path, token, logger, now = () => Date.now() }: PageSessionsOptions) {
    this.#path = path;
    this.#token = token;
    this.#logger = logger;
    this.#now = now;
    for (const session of readSessions(path, logger)) this.#sessions.set(session.hash, session);
    this.#timer = setInterval(() => this.#endOld(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Lets a browser in. On disk before it resolves. @throws where that cannot be */
  async create(): Promise<SessionSecrets> {
    this.#endOld();
    const secrets = { cookie: newSecret(), key: newSecret() };
    const nowMs = this.#now();
    const session = new Session(this.#hashOf(secrets), nowMs, nowMs);
    this.#sessions.set(session.hash, session);
    try {
      await this.#write();
    } catch (error) {
      this.#sessions.delete(session.hash);
      throw error;
    }
    return secrets;
  }

  /** Returns the session that these are of, and notes that it was used. */
  find(secrets: SessionSecrets): PageSession | undefined {
    const session = this.#sessions.get(this.#hashOf(secrets));
    if (!session) return undefined;
    const nowMs = this.#now();
    if (isOld(session, nowMs)) {
      this.#endOld();
      return undefined;
    }
    if (nowMs - session.usedMs >= USE_WRITE_INTERVAL_MS) {
      session.usedMs = nowMs;
      this.#writeLater();
    }
    return session;
  }

  /** Resolves when the session has ended for good, also for the next server. */
  async end(session: PageSession): Promise<void> {
    if (!(session instanceof Session)) return;
    this.#forget(session);
    try {
      await this.#write();
    } catch (error) {
      // On a full disk, say. Rather all of them end.
      this.#logger.warn({ err: error, path: this.#path }, "sessions of the page are deleted");
      await this.#delete();
    }
  }

  async endAll(): Promise<number> {
    const ended = [...this.#sessions.values()];
    for (const session of ended) this.#forget(session);
    await this.#delete();
    return ended.length;
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writes.idle();
  }

  /** Takes a new token; the sessions of the one before have ended, whatever is on disk. */
  async setToken(token: string): Promise<void> {
    this.#token = token;
    await this.endAll();
  }

  /** The token is a part of it: after a change of that, nothing on disk lets anybody in. */
  #hashOf({ cookie, key }: SessionSecrets): string {
    return hashOf([cookie, key, this.#token].join("."));
  }

  #endOld(): void {
    const nowMs = this.#now();
    const byUse = [...this.#sessions.values()].sort((a, b) => b.usedMs - a.usedMs);
    const old = byUse.filter((each, index) => isOld(each, nowMs) || index >= MAX_SESSIONS - 1);
    for (const session of old) this.#forget(session);
    if (old.length > 0) this.#writeLater();
  }

  #forget(session: Session): void {
    this.#sessions.delete(session.hash);
    session.end();
  }

  #writeLater(): void {
    this.#write().catch((error: unknown) => {
      this.#logger.warn({ err: error, path: this.#path }, "cannot write sessions of the page");
    });
  }

  #write(): Promise<void> {
    return this.#writes.run(() => {
      const sessions = [...this.#sessions.values()].map(({ hash, createdMs, usedMs }) => ({
        hash,
        createdTime: new Date(createdMs),
        usedTime: new Date(usedMs),
      }));
      return writeFileAtomic(this.#path, `${JSON.stringify({ version: 1, sessions })}\n`);
    });
  }

  #delete(): Promise<void> {
    return this.#writes.run(async () => {
      rmSync(this.#path, { force: true });
      await syncPath(dirname(this.#path));
    });
  }
}

class Session implements PageSession {
  readonly hash: string;
  readonly createdMs: number;
  usedMs: number;
  readonly #listeners = new Set<() => void>();

  constructor(hash: string, createdMs: number, usedMs: number) {
    this.hash = hash;
    this.createdMs = createdMs;
    this.usedMs = usedMs;
  }

  onEnd(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }
}

function isOld({ createdMs, usedMs }: Session, nowMs: number): boolean {
  // A clock that was put back makes nothing younger than it can be.
  return nowMs - createdMs >= MAX_AGE_MS || nowMs - usedMs >= MAX_IDLE_MS || createdMs > usedMs;
}

function readSessions(path: string, logger: Logger): Session[] {
  try {
    const { sessions } = JSON.parse(readOwnFile(path)) as { sessions: unknown[] };
    return sessions.flatMap((each) => {
      const { hash, createdTime, usedTime } = each as Record<string, unknown>;
      const times = [createdTime, usedTime].map((time) => Date.parse(String(time)));
      const [createdMs = NaN, usedMs = NaN] = times;
      if (typeof hash !== "string" || Number.isNaN(createdMs + usedMs)) return [];
      return [new Session(hash, createdMs, usedMs)];
    });
  } catch (error) {
    if (!hasCode(error, "ENOENT")) {
      logger.warn({ err: error, path }, "sessions of the page cannot be read; they have ended");
    }
    return [];
  }
}
