import { InvalidArgumentError } from "commander";

/**
 * Collects the words of an option that can be given several times, or once with
 * commas between them.
 */
export function choices<Choice extends string>(
  all: readonly Choice[],
): (text: string, before: readonly Choice[] | undefined) => readonly Choice[] {
  return (text, before = []) => {
    const words = text.split(",").map((word) => word.trim());
    const chosen = words.map((word) => {
      const choice = all.find((each) => each === word.toLowerCase());
      if (choice === undefined) throw new InvalidArgumentError(`Choose from ${all.join(", ")}.`);
      return choice;
    });
    return [...before, ...chosen];
  };
}
