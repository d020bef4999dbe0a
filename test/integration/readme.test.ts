import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs } from "../helpers/test-server.js";

const ROOT = join(import.meta.dirname, "../..");
const SETUP_AND_TEST = "npm ci && npm test";

/** The blocks of a language in a document. */
function blocks(document: string, language: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    (match) => match[1] as string,
  );
}

/** What a stranger has: a clone of what is committed, and of what is about to be. */
function clone(): string {
  const dir = join(tempDir(), "clone");
  execFileSync("git", ["clone", "-q", ROOT, dir]);
  const changed = execFileSync("git", ["ls-files", "-mo", "--exclude-standard", "-z"], {
    cwd: ROOT,
  })
    .toString()
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(ROOT, path)));
  for (const path of changed) execFileSync("cp", ["--parents", path, dir], { cwd: ROOT });
  return dir;
}

test("every command of the README and the first pages works in a fresh clone, in the order given", {
  timeout: 300_000,
}, async () => {
  const dir = clone();
  const home = join(tempDir(), "home");
  mkdirSync(home, { mode: 0o700 });
  const env = { ...process.env, HOME: home, PROCMAN_STATE_DIR: undefined, CI: undefined };
  // npm keeps its cache, which has nothing to do with this, where it is.
  const npmCache = execFileSync("npm", ["config", "get", "cache"]).toString().trim();
  const run = (script: string) => shell(script, dir, { ...env, npm_config_cache: npmCache });
  onTestFinished(async () => {
    await run("npx procman stop").catch(() => {});
    await endJobs(join(home, ".cache/procman"));
  });

  const [first, setupAndTest, ...rest] = blocks("README.md", "sh") as [string, string, ...string[]];
  // This very run is what the second line does.
  expect(setupAndTest.trim()).toBe(SETUP_AND_TEST);
  expect((await run(first)).output).toContain("step 5 of 5");

  const [start, comeBack, call] = rest as [string, string, string];
  expect(rest).toHaveLength(3);
  const story = await run(start + comeBack);
  expect(story.output).toContain("running");
  expect(story.output).toContain("exit code 7");
  expect(story.output).toContain("line 1\nline 2\nline 3\n");
  expect(story.output).toContain("oops");
  expect((await run(call)).output).toContain('{"job":{');

  const started = await run(`set -e\n${blocks("docs/getting-started.md", "sh").join("\n")}`);
  expect(started.code, started.output).toBe(0);
  expect(started.output).toContain("hello\nexit code 3\n");
  expect(started.output).toContain("ready in 20 ms");
  expect(started.output).toContain("cancelled");

  const programs = [...blocks("README.md", "ts"), ...blocks("docs/library.md", "ts")];
  expect(programs).toHaveLength(2);
  for (const [index, program] of programs.entries()) {
    const file = join(dir, `readme-${index}.mjs`);
    writeFileSync(file, program);
    const { code, output } = await run(`node ${file}; rm -rf /tmp/procman-library-demo`);
    expect(code, output).toBe(0);
    expect(output).toContain("exit code 3");
  }
});

async function shell(
  script: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const child = spawn("sh", ["-c", script], { cwd, env, stdio: "pipe" });
  child.stdin.end();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}
