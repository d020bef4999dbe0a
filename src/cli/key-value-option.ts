import { InvalidArgumentError } from "commander";

export type KeyValues = Readonly<Record<string, string>>;

/** Collects "KEY=VALUE" of an option that can be given several times; the last of a key counts. */
export function parseKeyValue(text: string, before: KeyValues | undefined): KeyValues {
  const equals = text.indexOf("=");
  if (equals <= 0) throw new InvalidArgumentError("Give KEY=VALUE.");
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}
