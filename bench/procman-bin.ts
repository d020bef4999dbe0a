import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The repository's own directory, as seen from dist/bench. */
export const REPOSITORY = join(import.meta.dirname, "../..");

const { bin } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as {
  bin: { procman: string };
};

/** What `procman` runs for users, by Node. */
export const PROCMAN = join(REPOSITORY, bin.procman);
