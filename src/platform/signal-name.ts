import { constants } from "node:os";

/** Returns "SIGHUP" for "SIGHUP", "hup" or "1"; undefined for what this platform does not have. */
export function signalName(text: string): NodeJS.Signals | undefined {
  const upper = text.toUpperCase();
  const name = /^\d{1,3}$/.test(text)
    ? signalOfNumber(Number(text))
    : upper.startsWith("SIG")
      ? upper
      : `SIG${upper}`;
  if (name === undefined || !Object.hasOwn(constants.signals, name)) return undefined;
  return name as NodeJS.Signals;
}

/** Returns the name of a signal. Of several that it has, the first is the usual one. */
export function signalOfNumber(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}
