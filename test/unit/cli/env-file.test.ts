import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readEnvFile } from "../../../src/cli/env-file.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { FakeCli } from "./fake-cli.js";

function file(content: string | Buffer): string {
  const path = join(tempDir(), "job.env");
  writeFileSync(path, content);
  return path;
}

test.each<[string, string, Record<string, string>]>([
  ["a value is all that follows", "A= b 'c' #d \n", { A: " b 'c' #d " }],
  ["a value may have = and be empty", "A=x=y\nB=", { A: "x=y", B: "" }],
  ["comments and empty lines are left out", "# A=1\n\n  # B=2\n \t\nC=3\n", { C: "3" }],
  ["spaces before a name are", "  A=1", { A: "1" }],
  ["lines may end as on Windows", "A=1\r\nB=2\r\n", { A: "1", B: "2" }],
  ["a name alone takes this value, if there is one", "HERE\nNOT_HERE\n", { HERE: "now" }],
  ["the last one counts", "A=1\nA=2\n", { A: "2" }],
  ["a mark of the encoding is no part of a name", "\uFEFFA=ä\n", { A: "ä" }],
  ["nothing", "", {}],
])("%s", (_what, content, variables) => {
  expect(readEnvFile(file(content), { HERE: "now" })).toEqual(variables);
});

test.each<[string, string | Buffer, string]>([
  ["no name", "A=1\n=2\n", "line 2: there is no name before the ="],
  ["a name with a space", "\n\nA B=2", 'line 3: the name "A B" has a space'],
  ["a space before the =", "A =2", 'line 1: the name "A " has a space'],
  ["other bytes", Buffer.from("A=1\nB=\xe9\n", "latin1"), "line 2: it is not UTF-8"],
  ["a NUL", "A=\0", "line 1: it has a NUL byte"],
])("%s is an error with file and line", (_what, content, message) => {
  const path = file(content);
  expect(() => readEnvFile(path, {})).toThrow(`--env-file ${path}, ${message}`);
});

describe("run --env-file", () => {
  test("a later file counts more, and --env most", async () => {
    const [first, second] = [file("A=1\nB=1\nC=1\n"), file("B=2\nC=2\n")];
    const cli = new FakeCli({ env: { A: "shell", D: "shell" } });
    const files = ["--env-file", first, "--env-file", second];
    await cli.run("run", "-d", "--env", "C=3", ...files, "--", "true");
    expect(cli.procman.lastCall("start")[0]).toMatchObject({
      env: { A: "1", B: "2", C: "3", D: "shell" },
    });
  });

  test("one that is not there is told, and nothing is started", async () => {
    const cli = new FakeCli();
    expect(await cli.run("run", "--env-file", "/no/such.env", "--", "true")).toBe(125);
    expect(cli.err.text).toContain("--env-file: cannot read /no/such.env");
    expect(cli.connected).toEqual([]);
  });
});
