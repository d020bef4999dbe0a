import { Violations } from "../contract/errors.js";
import type { ReconnectOptions } from "./reconnection.js";

/*
 * Checks of what clients are made with, for Node and browsers. A caller in JavaScript can
 * pass any type. Each adds a violation for what is wrong.
 */

/** @throws ProcmanError INVALID_ARGUMENT where these are no options at all */
export function checkIsObject(options: unknown, violations: Violations): void {
  if (typeof options === "object" && options !== null) return;
  violations.add("options", "must be an object");
  violations.throwIfAny();
}

export function checkBaseUrl(baseUrl: unknown, violations: Violations): void {
  const url = typeof baseUrl === "string" && URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return;
  violations.add("baseUrl", 'must be a URL such as "http://127.0.0.1:7420"');
}

/** Checks what goes into a header: a token with a line break would be refused there, unnamed. */
export function checkToken(token: unknown, violations: Violations): void {
  if (token === undefined || (typeof token === "string" && /^[\x21-\x7e]+$/.test(token))) return;
  violations.add("token", "must be the content of the file `token`, without spaces around it");
}

export function checkReconnect(
  reconnect: ReconnectOptions | false | undefined,
  violations: Violations,
): void {
  if (reconnect === undefined || reconnect === false) return;
  if (typeof reconnect !== "object" || reconnect === null) {
    violations.add("reconnect", "must be an object or false");
    return;
  }
  for (const name of ["maxDelayMs", "giveUpAfterMs"] as const) {
    const value: unknown = reconnect[name];
    if (value === undefined || (typeof value === "number" && value >= 0)) continue;
    violations.add(`reconnect.${name}`, "must be a number that is not negative");
  }
}

/** Runs checks to their end, so that all that is wrong is told at once. */
export function checkOptions(check: (violations: Violations) => void): void {
  const violations = new Violations();
  check(violations);
  violations.throwIfAny();
}
