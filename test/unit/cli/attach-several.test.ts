import { expect, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

function cliWith(options: FakeCliOptions = {}): FakeCli {
  const cli = new FakeCli(options);
  cli.procman.addJob("abc", { name: "web" });
  cli.procman.addJob("defghi");
  return cli;
}

async function untilFollowed(cli: FakeCli): Promise<void> {
  await eventually("both streams", () => cli.procman.openStreams === 2);
}

test("each line has its job before it, and goes where the job wrote it", async () => {
  const cli = cliWith();
  const attaching = cli.run("attach", "web", "def");
  await untilFollowed(cli);
  cli.procman.write("abc", "one\ntw");
  await eventually("a line", () => cli.out.text === "web    | one\n");
  cli.procman.write("defghi", "err\r\n", "stderr");
  cli.procman.write("abc", "o\n50%\rlast");
  cli.procman.end("abc");
  cli.procman.end("defghi");
  expect(await attaching, cli.err.text).toBe(0);
  expect(cli.out.text).toBe("web    | one\nweb    | two\nweb    | 50%\nweb    | last\n");
  expect(cli.err.text).toBe("defghi | err\n");
});

test("a terminal has it in colours, without what would be written over, and how each ends", async () => {
  const cli = cliWith({ terminal: true });
  const attaching = cli.run("attach", "web", "defghi");
  await untilFollowed(cli);
  cli.procman.write("abc", "10%\r20%\rdone\n");
  cli.procman.write("defghi", "x\n");
  cli.procman.end("abc");
  cli.procman.end("defghi");
  expect(await attaching).toBe(0);
  expect(cli.out.text.split("\n").toSorted()).toEqual([
    "",
    "\u001b[33mdefghi | \u001b[39mx",
    "\u001b[36mweb    | \u001b[39mdone",
  ]);
  expect(cli.err.text).toMatch(/procman: abc .*completed/);
});

test("with --json each event is a line, with its job's id", async () => {
  const cli = cliWith();
  cli.procman.write("abc", "x\n");
  for (const id of ["abc", "defghi"]) cli.procman.end(id);
  expect(await cli.run("attach", "--no-follow", "--json", "web", "defghi"), cli.err.text).toBe(0);
  const events = cli.out.text.trimEnd().split("\n");
  const parsed = events.map((line) => JSON.parse(line) as { id: string });
  expect(parsed.filter(({ id }) => id === "abc")).toMatchObject([
    { opened: { job: { name: "web" } } },
    { chunk: { stream: "stdout", offset: "0", data: "eAo=" } },
    { ended: { job: { status: "completed" } } },
  ]);
  expect(parsed.filter(({ id }) => id === "defghi").map((each) => Object.keys(each))).toEqual([
    ["id", "opened"],
    ["id", "ended"],
  ]);
});

test("jobs that share a name are told by their ids", async () => {
  const cli = cliWith();
  cli.procman.addJob("jkl", { name: "web" });
  cli.procman.write("abc", "x\n");
  for (const id of ["abc", "jkl"]) cli.procman.end(id);
  expect(await cli.run("attach", "--no-follow", "abc", "jkl")).toBe(0);
  expect(cli.out.text).toBe("abc | x\n");
});

test("a selection is of jobs that have not ended, unless it says otherwise", async () => {
  const cli = cliWith();
  for (const [words, statuses] of [
    [["--all"], ["pending", "running"]],
    [
      ["--name", "web"],
      ["pending", "running"],
    ],
    [["--status", "failed"], ["failed"]],
  ] as const) {
    await cli.run("attach", "--no-follow", "--tail", "3", ...words);
    expect(cli.procman.lastCall("list")[0]).toMatchObject({ statuses });
  }
  expect(cli.procman.lastCall("attach")[1]).toMatchObject({ tailLines: 3, follow: false });
  expect(cli.err.text).toBe("procman: there are no such jobs\n");
});

test("Ctrl-C leaves all of them, and they go on", async () => {
  const cli = cliWith();
  const attaching = cli.run("attach", "--all");
  await untilFollowed(cli);
  cli.interrupt.abort();
  expect(await attaching).toBe(130);
  expect(cli.err.text).toBe("detached; the jobs go on\n");
  expect(cli.procman.openStreams).toBe(0);
});

test("one that fails keeps the others from nothing; where nobody reads, all are left", async () => {
  const cli = cliWith();
  const attach = cli.procman.attach.bind(cli.procman);
  cli.procman.attach = (id, ...rest) => {
    if (id === "abc") throw new ProcmanError("JOB_NOT_FOUND", "it is gone");
    return attach(id, ...rest);
  };
  const attaching = cli.run("attach", "--all");
  await eventually("the other", () => cli.procman.openStreams === 1);
  cli.procman.write("defghi", "x\n");
  cli.procman.end("defghi");
  expect(await attaching).toBe(1);
  expect(cli.err.text).toBe("procman: it is gone\n");
  expect(cli.out.text).toBe("defghi | x\n");

  const unread = cliWith();
  unread.out.errorCode = "EPIPE";
  const leaving = unread.run("attach", "--all");
  await untilFollowed(unread);
  unread.procman.write("abc", "x\n");
  expect(await leaving).toBe(0);
  expect(unread.procman.openStreams).toBe(0);
});
