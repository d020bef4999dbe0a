import { appendFileSync, existsSync, mkdirSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { createProcmanClient } from "../../src/client/index.js";
import type { OutputLine, Procman, WatchOptions } from "../../src/contract/procman.js";
import { JobDir } from "../../src/core/job-dir.js";
import { eventually } from "../helpers/eventually.js";
import { procman } from "../helpers/procman-command.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

/** A clock is read before the line is written, and mtimes are those of a slower clock. */
const SLACK_MS = 60;

function clientOf(server: TestServer): Procman {
  const client = createProcmanClient({ socketPath: server.socketPath });
  onTestFinished(() => client.close());
  return client;
}

function indexOf(server: TestServer, id: string): string {
  return new JobDir(join(server.stateDir, "jobs", id)).outputTimes;
}

/** A job that prints "one", and each further word once it is told to. */
async function printing(client: Procman, ...words: readonly string[]) {
  const dir = tempDir();
  const steps = words.map((word) => `until [ -e ${word} ]; do sleep 0.02; done; echo ${word}; `);
  const script = `echo one; ${steps.join("")} sleep 1000`;
  const { id } = await client.start({ command: "sh", args: ["-c", script], workDir: dir });
  const tell = (word: string) => writeFileSync(join(dir, word), "");
  const printed = (word: string) => client.wait(id, { until: { type: "output", pattern: word } });
  await printed("one");
  return { id, tell, printed };
}

type TimedLine = OutputLine & Required<Pick<OutputLine, "writtenBetween">>;

async function linesOf(client: Procman, id: string, options: WatchOptions = {}) {
  const lines: TimedLine[] = [];
  const asked = { follow: false, writtenTimes: true, ...options };
  for await (const event of client.watch(id, asked)) {
    if (event.type === "line") lines.push(event as TimedLine);
  }
  return lines;
}

async function textOf(client: Procman, id: string, period: WatchOptions): Promise<string> {
  let text = "";
  for await (const event of client.attach(id, period)) {
    if (event.type === "chunk") text += Buffer.from(event.data).toString();
  }
  return text;
}

const after = (time: Date, ms: number) => new Date(time.getTime() + ms);

describe("while a server runs", () => {
  const server = TestServer.shared();

  test("output has its times, and a period has what may have been written in it", async () => {
    const client = clientOf(server);
    const began = new Date();
    const { id, tell, printed } = await printing(client, "two", "three");
    const one = (await linesOf(client, id))[0] as TimedLine;
    expect(one.writtenBetween.from <= one.writtenBetween.to).toBe(true);
    expect(one.writtenBetween.to.getTime()).toBeGreaterThanOrEqual(began.getTime());
    await sleep(5);
    tell("two");
    await printed("two");
    const [again, two] = (await linesOf(client, id)) as [TimedLine, TimedLine];
    expect(again).toEqual(one);
    expect(two.writtenBetween.from >= one.writtenBetween.to).toBe(true);
    expect(two.writtenBetween.unobserved).toBeUndefined();

    const sinceTime = after(one.writtenBetween.to, 1);
    const untilTime = after(two.writtenBetween.from, -1);
    expect(await textOf(client, id, { sinceTime })).toBe("two\n");
    expect(await textOf(client, id, { sinceTime: one.writtenBetween.to })).toBe("one\ntwo\n");
    expect(await textOf(client, id, { untilTime })).toBe("one\n");
    expect(await textOf(client, id, { untilTime: two.writtenBetween.from })).toBe("one\ntwo\n");
    expect(await textOf(client, id, { untilTime, follow: true, tailLines: 1 })).toBe("one\n");
    expect(await textOf(client, id, { sinceTime: new Date(0), stdoutOffset: 4 })).toBe("two\n");
    expect(await textOf(client, id, { sinceTime: after(new Date(), 1e6) })).toBe("");
    expect(await textOf(client, id, { untilTime: after(began, -60_000) })).toBe("");
    expect((await linesOf(client, id, { sinceTime, pattern: "o" })).map((l) => l.text)).toEqual([
      "two",
    ]);
    const { parts } = await client.readOutput(id, { sinceTime, writtenTimes: true });
    expect(parts).toMatchObject([
      { offset: 4, omittedBytes: 0, writtenBetween: two.writtenBetween },
    ]);
    expect(Buffer.from(parts[0]!.data).toString()).toBe("two\n");
    const bounded = await client.readOutput(id, { untilTime, maxBytes: 2, ends: "tail" });
    expect(bounded.parts.map(({ data }) => Buffer.from(data).toString())).toEqual(["e\n"]);
    for (const call of [
      () => textOf(client, id, { sinceTime, untilTime: began }),
      () => linesOf(client, id, { sinceTime, untilTime: began }),
      () => client.readOutput(id, { sinceTime, untilTime: began }),
    ]) {
      await expect(call()).rejects.toThrow("until_time: must not be before since_time");
    }

    // Who follows has times of what comes, and leaves when the time has come.
    const following = linesOf(client, id, {
      follow: true,
      sinceTime,
      untilTime: after(new Date(), 1500),
    });
    const told = Date.now();
    tell("three");
    await printed("three");
    const known = Date.now();
    const followed = await following;
    expect(followed.map(({ text }) => text)).toEqual(["two", "three"]);
    const { from, to } = followed[1]!.writtenBetween;
    expect(from.getTime()).toBeLessThanOrEqual(known);
    expect(to.getTime()).toBeGreaterThanOrEqual(told);
    expect(to.getTime()).toBeLessThanOrEqual(known + SLACK_MS);
    await client.cancel(id, { gracePeriodMs: 0 });
  });

  test("a line that goes on in the period comes whole, and one that does not not at all", async () => {
    const client = clientOf(server);
    const { id } = await client.start({ command: "cat", stdin: true });
    await client.sendInput(id, { data: Buffer.from("whole\nhalf of ") });
    await client.wait(id, { until: { type: "output", pattern: "half" } });
    const [, half] = (await linesOf(client, id)) as [TimedLine, TimedLine];
    const sinceTime = after(half.writtenBetween.to, 1);
    expect(await linesOf(client, id, { sinceTime })).toEqual([]);
    await sleep(5);
    await client.sendInput(id, { data: Buffer.from("a line\n"), close: true });
    await client.wait(id);
    expect((await linesOf(client, id, { sinceTime })).map(({ text }) => text)).toEqual([
      "half of a line",
    ]);
  });

  test("the command line has --since, --until and --timestamps", async () => {
    const client = clientOf(server);
    const { id } = await client.start({
      command: "sh",
      args: ["-c", "echo one; printf 'two\\r'; echo err >&2"],
    });
    await client.wait(id);
    const cli = (...words: string[]) => procman(server.stateDir, "logs", ...words, id);
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
    const shown = await cli("--timestamps");
    expect(shown.stdout).toMatch(new RegExp(`^${time} one\n${time} two\n$`));
    expect(shown.stderr).toMatch(new RegExp(`^${time} err\n$`));
    expect((await cli("--since", "1h")).stdout).toBe("one\ntwo\r");
    expect((await cli("--until", "1h", "-f")).stdout).toBe("");
    expect((await cli("--since", "2026-01-01", "-t", "--grep", "n")).stdout).toMatch(/Z one\n$/);
    const { stdout } = await procman(server.stateDir, "watch", "--since", "2100-01-01", id);
    expect(stdout).toBe("");
  });

  test("a job that ended at once has no file for it, and is removed with it where there is one", async () => {
    const client = clientOf(server);
    const { id } = await client.start({ command: "echo", args: ["short"] });
    const { createdTime, ...job } = await client.wait(id);
    expect(existsSync(indexOf(server, id))).toBe(false);
    const [line] = await linesOf(client, id);
    expect(line?.writtenBetween.from).toEqual(createdTime);
    const completedMs = "completedTime" in job ? job.completedTime.getTime() : 0;
    expect(line?.writtenBetween.to.getTime()).toBeGreaterThanOrEqual(completedMs);
    expect(line?.writtenBetween.to.getTime()).toBeLessThan(completedMs + 1000);
    writeFileSync(indexOf(server, id), "");
    await client.remove(id);
    expect(existsSync(indexOf(server, id))).toBe(false);
  });

  test("where nothing can be noted the job goes on, and it is noted later", async () => {
    const client = clientOf(server);
    const { id, tell, printed } = await printing(client, "two");
    const index = indexOf(server, id);
    mkdirSync(index);
    await eventually("the warning", () => server.log.includes("cannot be noted now"));
    tell("two");
    await printed("two");
    expect(await linesOf(client, id)).toHaveLength(2);
    rmdirSync(index);
    await client.cancel(id, { gracePeriodMs: 0 });
    const [one, two] = (await linesOf(client, id)) as [TimedLine, TimedLine];
    expect(one.writtenBetween.unobserved ?? two.writtenBetween.unobserved).toBeUndefined();
  });
});

test("over kills of the server and whatever happens to what was noted, no line has a wrong time", async () => {
  const server = await TestServer.start();
  const client = clientOf(server);
  const script = "i=0; while [ $i -lt 45 ]; do date +%s%3N; sleep 0.1; i=$((i+1)); done";
  const { id } = await client.start({ command: "sh", args: ["-c", script], logLimitBytes: 65_536 });
  const index = indexOf(server, id);
  await eventually("the first notes", () => existsSync(index));
  await server.kill();
  appendFileSync(index, "torn in the middle");
  await sleep(700);
  await server.start();
  await sleep(700);
  await server.kill();
  appendFileSync(index, Buffer.alloc(64, 0x74));
  await server.start();
  await client.wait(id);
  const lines = await linesOf(client, id);
  expect(lines).toHaveLength(45);
  const check = (all: readonly TimedLine[]) => {
    for (const { text, writtenBetween } of all) {
      expect(writtenBetween.from.getTime()).toBeLessThanOrEqual(Number(text) + SLACK_MS);
      expect(writtenBetween.to.getTime()).toBeGreaterThanOrEqual(Number(text) - SLACK_MS);
    }
  };
  check(lines);
  for (const line of lines.filter((_, n) => n % 5 === 0)) {
    const since = await linesOf(client, id, { sinceTime: new Date(Number(line.text)) });
    expect(since.length).toBeGreaterThanOrEqual(lines.length - lines.indexOf(line));
    const until = await linesOf(client, id, { untilTime: new Date(Number(line.text) + SLACK_MS) });
    expect(until.length).toBeGreaterThanOrEqual(lines.indexOf(line) + 1);
  }

  // As of an earlier version, which notes nothing.
  rmSync(index);
  const job = await client.get(id);
  const old = await linesOf(client, id);
  check(old);
  expect(old[0]?.writtenBetween).toMatchObject({ from: job.createdTime, unobserved: true });
  expect(await linesOf(client, id, { sinceTime: job.createdTime })).toHaveLength(45);
  expect(await linesOf(client, id, { sinceTime: after(new Date(), 1000) })).toHaveLength(0);
});
