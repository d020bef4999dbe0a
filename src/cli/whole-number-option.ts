import { InvalidArgumentError } from "commander";

/** From 0 on. @throws InvalidArgumentError */
export function parseWholeNumber(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError("Give a whole number from 0 on.");
}
