import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ALIASES, COMMANDS, HIDDEN_COMMANDS } from "../../../src/cli/command-names.js";
import { FIELD_NAMES } from "../../../src/cli/format/job-fields.js";

const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/cli.md"), "utf8");

test("the page has every field of --format", () => {
  const [list = ""] = PAGE.match(/^The fields of `--format` are .*$/m) ?? [];
  for (const field of FIELD_NAMES) expect(list).toContain(`\`${field}\``);
});

test("the page has every command, and every other name of one", () => {
  const shown = [...COMMANDS.keys()].filter((name) => !HIDDEN_COMMANDS.has(name));
  for (const name of shown) expect(PAGE).toContain(`procman ${name}`);
  for (const alias of ALIASES.keys()) expect(PAGE).toContain(`\`${alias}\``);
});
