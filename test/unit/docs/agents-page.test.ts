import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/agents.md"), "utf8");

/** What stands at the end of a path of keys, whatever they are. */
function leaf(value: unknown): Record<string, unknown> {
  const object = value as Record<string, unknown>;
  return "command" in object ? object : leaf(Object.values(object)[0]);
}

test("each configuration starts procman mcp", () => {
  const json = [...PAGE.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text]) => text as string);
  expect(json).toHaveLength(4);
  for (const text of json) {
    const { command, args = [] } = leaf(JSON.parse(text)) as { command: unknown; args?: string[] };
    expect([command, args].flat(2)).toEqual(["procman", "mcp"]);
  }
  expect(PAGE).toMatch(/^\[mcp_servers\.procman\]\ncommand = "procman"\nargs = \["mcp"\]\n/m);
  expect(PAGE.match(/mcp add [^`\n]*procman mcp`/g)).toHaveLength(3);
});
