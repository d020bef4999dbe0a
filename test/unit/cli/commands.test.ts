import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { WaitOptions } from "../../../src/contract/procman.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

function cliWith(options: FakeCliOptions = {}, ...ids: string[]): FakeCli {
  const cli = new FakeCli(options);
  for (const id of ids) cli.procman.addJob(id);
  return cli;
}

const terminal = { terminal: true, env: { NO_COLOR: "1" } };

describe("output that nobody reads any more", () => {
  test("ends the command, quietly", async () => {
    const cli = cliWith({}, "abc");
    cli.out.errorCode = "EPIPE";
    expect(await cli.run("ls")).toBe(0);
    expect(cli.err.text).toBe("");
    expect(cli.procman.isClosed).toBe(true);
  });

  test("ends it before the next job", async () => {
    const cli = cliWith({}, "abc", "def");
    cli.procman.end("abc");
    cli.procman.end("def");
    cli.out.errorCode = "EPIPE";
    expect(await cli.run("rm", "abc", "def")).toBe(0);
    const removed = cli.procman.calls.filter(({ method }) => method === "remove");
    expect(removed.map(({ args }) => args[0])).toEqual(["abc"]);
  });

  test("is another thing than a full disk", async () => {
    const cli = cliWith({}, "abc");
    cli.out.errorCode = "ENOSPC";
    expect(await cli.run("ls")).toBe(1);
    expect(cli.err.text).toBe("procman: cannot write to stdout: ENOSPC\n");
  });
});

test("a slow reader gets all of it", async () => {
  const cli = new FakeCli();
  cli.out.delayMs = 5;
  expect(await cli.run("--help")).toBe(0);
  await eventually("the end", () => cli.out.text.includes("Exit codes:"));
});

describe("the client", () => {
  test.each([
    ["ls", 0],
    ["get abc", 0],
    ["get zzz", 1],
    ["rm zzz yyy", 1],
  ])("is closed after %s", async (words, code) => {
    const cli = cliWith({}, "abc");
    expect(await cli.run(...words.split(" "))).toBe(code);
    expect(cli.procman.isClosed).toBe(true);
  });
});

describe("where nothing was done", () => {
  test.each([
    ["cleanup", "cleanup", "nothing to remove\n"],
    ["refresh", "refresh", "nothing changed\n"],
  ] as const)("%s says so, to a person", async (command, method, note) => {
    for (const options of [terminal, {}]) {
      const cli = new FakeCli(options);
      cli.procman[method] = async () => [];
      expect(await cli.run(command)).toBe(0);
      expect(cli.err.text).toBe(options === terminal ? note : "");
      expect(await cli.run(command, "--json")).toBe(0);
      expect(cli.out.text).toBe("");
    }
  });
});

test("refresh shows what changed", async () => {
  const cli = cliWith({}, "abc");
  expect(await cli.run("refresh")).toBe(0);
  expect(cli.out.text).toMatch(/^ID .*\nabc +running/);
  const json = cliWith({}, "abc");
  expect(await json.run("refresh", "--json")).toBe(0);
  expect(JSON.parse(json.out.text)).toMatchObject({ id: "abc" });
});

test("rm and cleanup tell the ids", async () => {
  const cli = cliWith({}, "abc");
  cli.procman.end("abc");
  expect(await cli.run("rm", "--json", "abc")).toBe(0);
  expect(await cli.run("cleanup")).toBe(0);
  expect(cli.out.text).toBe('{"id":"abc"}\nold1 removed\nold2 removed\n');
});

describe("a job that cannot be read", () => {
  function cliWithUnreadable(): FakeCli {
    const cli = cliWith({}, "abc");
    const error = "Unexpected end of JSON input\u001b[2J";
    cli.procman.unreadable = ["bad", "worse"].map((id) => ({ id, error }));
    return cli;
  }

  test.each([["ls"], ["ls", "--all"]])("is in the table of %s %s", async (...words) => {
    const cli = cliWithUnreadable();
    expect(await cli.run(...words)).toBe(0);
    expect(cli.out.text).toMatch(/^abc +running .*\nbad +unreadable +Unexpected end of JSON/m);
    expect(cli.out.text).not.toContain("\u001b");
    expect(cli.err.text).toBe("");
  });

  test.each([[["-q"]], [["--all", "-q"]]])(
    "is told of beside the lines of ls %s",
    async (words) => {
      const cli = cliWithUnreadable();
      expect(await cli.run("ls", ...words)).toBe(0);
      expect(cli.out.text).toBe("abc\n");
      expect(cli.err.text).toContain("not listed: 2");
    },
  );

  test("rm --unreadable lists them and asks which, and removes those that are named", async () => {
    const cli = cliWithUnreadable();
    expect(await cli.run("rm", "--unreadable", "--json")).toBe(2);
    expect(cli.out.text.split("\n").map((line) => line && (JSON.parse(line) as object))).toEqual([
      ...cli.procman.unreadable,
      "",
    ]);
    expect(cli.err.text).toContain("rm --unreadable ID");
    expect(cli.procman.unreadable).toHaveLength(2);
    expect(await cli.run("rm", "bad")).toBe(1);
    expect(await cli.run("rm", "--unreadable", "bad")).toBe(0);
    expect(cli.procman.unreadable).toMatchObject([{ id: "worse" }]);
    expect(await cli.run("rm", "--unreadable", "worse")).toBe(0);
    expect(await cli.run("rm", "--unreadable")).toBe(0);
    expect(await cli.run("rm")).toBe(2);
    expect(cli.err.text).toContain("missing required argument 'id'");
  });
});

describe("get", () => {
  const env = { TOKEN: "s3cret", EVIL: "\u001b[2J" };

  test("does not ask for the environment", async () => {
    const cli = new FakeCli();
    cli.procman.addJob("abc", { env });
    expect(await cli.run("get", "abc")).toBe(0);
    expect(cli.procman.lastCall("get")[1]).toEqual({ includeEnv: false });
    expect(cli.out.text).not.toContain("s3cret");
  });

  test("shows it with --env, and nothing that a terminal would obey", async () => {
    const cli = new FakeCli();
    cli.procman.addJob("abc", { env });
    expect(await cli.run("get", "--env", "abc")).toBe(0);
    expect(cli.procman.lastCall("get")[1]).toEqual({ includeEnv: true });
    expect(cli.out.text.endsWith("\nTOKEN=s3cret\nEVIL=\\u{1b}[2J\n")).toBe(true);
  });

  test("--json is one object and nothing else", async () => {
    const cli = new FakeCli();
    cli.procman.addJob("abc", { env });
    expect(await cli.run("get", "--json", "--env", "abc")).toBe(0);
    expect(JSON.parse(cli.out.text)).toMatchObject({ id: "abc", env });
  });
});

test("0 is a duration, and not the default", async () => {
  const cli = cliWith({}, "abc");
  await cli.run("cancel", "--grace", "0", "abc");
  expect(cli.procman.lastCall("cancel")).toEqual(["abc", { gracePeriodMs: 0 }]);
  await cli.run("cleanup", "--older-than", "0");
  expect(cli.procman.lastCall("cleanup")).toEqual([{ olderThanMs: 0 }]);
  await cli.run("cancel", "abc");
  expect(cli.procman.lastCall("cancel")).toEqual(["abc", {}]);
  await cli.run("cleanup");
  expect(cli.procman.lastCall("cleanup")).toEqual([{}]);
});

test("wait for a job that goes on says so, with 124", async () => {
  const cli = cliWith({}, "abc");
  expect(await cli.run("wait", "--timeout", "0", "abc")).toBe(124);
  expect((cli.procman.lastCall("wait")[1] as WaitOptions).timeoutMs).toBe(0);
  expect(cli.out.text).toMatch(/^abc running/);
  expect(cli.err.text).toBe("procman: job abc has not ended yet\n");
});

test("ls --all shows those that match, of every page", async () => {
  const cli = new FakeCli();
  for (let n = 0; n < 250; n += 1) cli.procman.addJob(`job${n}`);
  cli.procman.end("job7");
  expect(await cli.run("ls", "--all", "--status", "running")).toBe(0);
  expect(cli.out.text.trimEnd().split("\n")).toHaveLength(250);
  expect(cli.out.text).not.toContain("job7 ");
});

test("ls --all --json writes a page before it asks for the next one", async () => {
  const cli = new FakeCli();
  for (let n = 0; n < 250; n += 1) cli.procman.addJob(`job${n}`);
  const written: number[] = [];
  const list = cli.procman.list.bind(cli.procman);
  cli.procman.list = (options) => {
    written.push(cli.out.text.split("\n").length - 1);
    return list(options);
  };
  expect(await cli.run("ls", "--all", "--json")).toBe(0);
  expect(written).toEqual([0, 200]);
});

test("send fails for a job that takes no input before it reads any", async () => {
  const cli = cliWith({}, "abc");
  cli.procman.sendInput = async () => {
    throw new Error("it takes no input");
  };
  // Nothing is typed, and there is no end.
  expect(await cli.run("send", "abc")).toBe(1);
  expect(cli.err.text).toContain("it takes no input");
});

test("a single job's error has an exit code of its own", async () => {
  const cli = new FakeCli();
  expect(await cli.run("cancel", "")).toBe(2);
  expect(await cli.run("cancel", "", "")).toBe(1);
});

describe("the current directory", () => {
  test("is where a command is run, and where a relative state directory is", async () => {
    const cli = new FakeCli({ workDir: "/elsewhere" });
    await cli.run("--state-dir", "state", "run", "-d", "--work-dir", "sub", "x");
    expect(cli.connected).toEqual(["/elsewhere/state"]);
    expect(cli.procman.lastCall("start")[0]).toMatchObject({ workDir: "/elsewhere/sub" });
  });

  test("that was deleted is not needed where an absolute one is given", async () => {
    const cli = new FakeCli({ workDir: undefined });
    expect(await cli.run("run", "-d", "x")).toBe(125);
    expect(cli.err.text).toContain("the current directory is gone; give --work-dir");
    expect(cli.procman.calls).toEqual([]);
    expect(await cli.run("run", "-d", "--work-dir", "/", "x")).toBe(0);
  });
});

test.each([
  ["--tls-cert", "c"],
  ["--tls-key", "k"],
  ["--tls-client-ca", "a"],
  ["--tls-cert", "c", "--tls-client-ca", "a"],
  ["--tls-key", "k", "--tls-client-ca", "a"],
])("serve %s %s is not enough for TLS", async (...options) => {
  const cli = new FakeCli();
  expect(await cli.run("serve", "--state-dir", tempDir(), ...options)).toBe(2);
  expect(cli.err.text).toContain("--tls-cert and --tls-key belong together");
});

test("token makes one in a directory of this user's, keeps it, and replaces it", async () => {
  const dir = tempDir();
  const token = async (...options: string[]) => {
    const cli = new FakeCli();
    expect(await cli.run("token", "--state-dir", dir, ...options)).toBe(0);
    return cli.out.text;
  };
  const first = await token();
  expect(await token()).toBe(first);
  const second = await token("--rotate");
  expect(second).not.toBe(first);
  expect(await token()).toBe(second);
  expect(statSync(join(dir, "token")).mode & 0o777).toBe(0o600);
});
