import { createHash, randomBytes } from "node:crypto";

const SECRET_BYTES = 32;
/** More at once than anybody opens. The oldest makes room. */
const MAX_SECRETS = 100;

export interface OneTimeSecretsOptions {
  readonly lifetimeMs: number;
  readonly now?: () => number;
}

/** Secrets that count once and for a short time, each for what it was made for. */
export class OneTimeSecrets<Purpose> {
  readonly lifetimeMs: number;
  readonly #now: () => number;
  /** By hash, in the order in which they were made. */
  readonly #secrets = new Map<string, { readonly purpose: Purpose; readonly untilMs: number }>();

  constructor({ lifetimeMs, now = () => performance.now() }: OneTimeSecretsOptions) {
    this.lifetimeMs = lifetimeMs;
    this.#now = now;
  }

  create(purpose: Purpose): string {
    this.#forgetOld();
    const secret = newSecret();
    this.#secrets.set(hashOf(secret), { purpose, untilMs: this.#now() + this.lifetimeMs });
    return secret;
  }

  /** Returns what the secret was made for; undefined where it does not count, or no more. */
  use(secret: string): Purpose | undefined {
    const hash = hashOf(secret);
    const found = this.#secrets.get(hash);
    this.#secrets.delete(hash);
    return found && found.untilMs > this.#now() ? found.purpose : undefined;
  }

  /** Makes all of them useless. */
  clear(): void {
    this.#secrets.clear();
  }

  #forgetOld(): void {
    for (const [hash, { untilMs }] of this.#secrets) {
      if (untilMs > this.#now() && this.#secrets.size < MAX_SECRETS) return;
      this.#secrets.delete(hash);
    }
  }
}

export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

/** Looking a digest up tells nothing about the secret, however long it takes. */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}
