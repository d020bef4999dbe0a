/** Select Graphic Rendition: by each code that sets something, the one that ends it. */
const ENDED_BY = new Map<number, number>([
  ...each(22, 1, 2),
  ...each(23, 3, 20),
  ...each(24, 4, 21),
  ...each(25, 5, 6),
  ...each(27, 7),
  ...each(28, 8),
  ...each(29, 9),
  ...each(39, 30, 31, 32, 33, 34, 35, 36, 37, 38, 90, 91, 92, 93, 94, 95, 96, 97),
  ...each(49, 40, 41, 42, 43, 44, 45, 46, 47, 48, 100, 101, 102, 103, 104, 105, 106, 107),
  ...each(54, 51, 52),
  ...each(55, 53),
  ...each(59, 58),
]);
const ENDS = new Set(ENDED_BY.values());

/** How many numbers follow 38, 48 and 58, by the first of them: a palette's colour, or a true one. */
const COLOUR_NUMBERS = new Map([
  [5, 2],
  [2, 4],
]);

/** Which colours and weights a terminal would write with. */
export class Rendition {
  /** What would end that which is set. */
  readonly #set = new Set<number>();

  get isPlain(): boolean {
    return this.#set.size === 0;
  }

  /** Takes the parameters of one sequence: "1;31" of "\u001b[1;31m". */
  take(parameters: string): void {
    const codes = parameters.split(";").map((code) => Number.parseInt(code || "0", 10));
    for (let n = 0; n < codes.length; n += 1) {
      const code = codes[n] ?? 0;
      if (code === 0) this.#set.clear();
      else if (ENDS.has(code)) this.#set.delete(code);
      // What is not known is ended by 0 only.
      else this.#set.add(ENDED_BY.get(code) ?? code);
      const isColour = code === 38 || code === 48 || code === 58;
      if (isColour) n += COLOUR_NUMBERS.get(codes[n + 1] ?? 0) ?? 0;
    }
  }
}

function each(end: number, ...codes: readonly number[]): [number, number][] {
  return codes.map((code) => [code, end]);
}
