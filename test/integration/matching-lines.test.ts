import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createProcmanClient } from "../../src/client/index.js";
import type { Procman, WatchOptions } from "../../src/contract/procman.js";
import { breakablePath } from "../helpers/breakable-path.js";
import { eventually } from "../helpers/eventually.js";
import { launch, procman } from "../helpers/procman-command.js";
import { TestServer } from "../helpers/test-server.js";

function clientOf(socketPath: string): Procman {
  const client = createProcmanClient({ socketPath, reconnect: { maxDelayMs: 20 } });
  onTestFinished(() => client.close());
  return client;
}

/** A job that prints what it is told to. */
async function echoing(client: Procman) {
  const { id } = await client.start({ command: "cat", stdin: true });
  let offset = 0;
  const print = async (text: string) => {
    const data = Buffer.from(text);
    await client.sendInput(id, { offset, data });
    offset += data.length;
  };
  return { id, print, end: () => client.sendInput(id, { close: true }) };
}

describe("of one job", () => {
  const server = TestServer.shared();

  async function textsOf(client: Procman, id: string, options: WatchOptions): Promise<string[]> {
    const texts: string[] = [];
    for await (const event of client.watch(id, options)) {
      if (event.type === "line") texts.push(event.text);
    }
    return texts;
  }

  test("Watch sends those that match, or the others; without follow to what there is now", async () => {
    const client = clientOf(server.socketPath);
    const { id } = await client.start({
      command: "sh",
      args: ["-c", "for i in 1 2 3; do echo error $i; echo fine $i; done; sleep 1000"],
    });
    await client.wait(id, { until: { type: "output", pattern: "fine 3" } });
    const now = { follow: false };
    expect(await textsOf(client, id, { ...now, pattern: "^e" })).toEqual([
      "error 1",
      "error 2",
      "error 3",
    ]);
    expect(
      await textsOf(client, id, { ...now, pattern: "^e", invert: true, tailLines: 3 }),
    ).toEqual(["fine 2", "fine 3"]);
    expect(await textsOf(client, id, now)).toHaveLength(6);
    for (const [options, message] of [
      [{ pattern: "(" }, "pattern: missing closing ): `(`"],
      [{ invert: true }, "invert: is only for a pattern"],
    ] as const) {
      await expect(textsOf(client, id, options)).rejects.toThrow(message);
    }
  });

  test("over lost connections none is lost, and none comes twice", async () => {
    const { socketPath, cut } = await breakablePath(server);
    const client = clientOf(socketPath);
    const count = 30_000;
    const { id } = await client.start({
      command: "sh",
      args: ["-c", `seq ${count}; sleep 0.3; seq ${count}; sleep 0.3; echo 7777`],
    });
    const cutting = setInterval(cut, 40);
    onTestFinished(() => clearInterval(cutting));
    const texts = await textsOf(client, id, { pattern: "^(\\d)777$" });
    expect(texts).toEqual([...Array(2).keys()].flatMap(sevens).concat("7777"));
  });

  function sevens(): string[] {
    return Array.from({ length: 9 }, (_, index) => `${index + 1}777`);
  }

  test("the command line prints them, each as a line", async () => {
    const client = clientOf(server.socketPath);
    const { id } = await client.start({
      command: "sh",
      args: ["-c", "printf '10%%\\r20%%\\rerror\\r\\nfine\\n'; printf 'last error' >&2"],
    });
    await client.wait(id);
    const shown = async (...words: string[]) => {
      const { stdout, stderr } = await procman(server.stateDir, ...words);
      return [stdout, stderr];
    };
    expect(await shown("logs", "--grep", "%|error", id)).toEqual([
      "10%\n20%\nerror\n",
      "last error\n",
    ]);
    expect(await shown("logs", "-f", "-v", "-g", "%", "--stream", "stdout", id)).toEqual([
      "error\nfine\n",
      "",
    ]);
    expect(await shown("watch", "--grep", "fine", id)).toEqual(["fine\n", ""]);
  });
});

describe("of all jobs", () => {
  test("WatchJobs sends them with their jobs, once each, over lost connections and a restart", async () => {
    const server = await TestServer.start();
    const { socketPath, cut } = await breakablePath(server);
    const client = clientOf(socketPath);
    const old = await echoing(client);
    await old.print("error before\nhalf of an ");
    await client.wait(old.id, { until: { type: "output", pattern: "half" } });
    const { id: over } = await client.start({ command: "echo", args: ["error before"] });
    await client.wait(over);
    const other = await client.start({
      command: "sh",
      args: ["-c", "echo error of another; sleep 1000"],
    });

    const stop = new AbortController();
    const events: string[] = [];
    const lines: string[] = [];
    const output = { pattern: "error" };
    const watching = (async () => {
      for await (const event of client.watchJobs({ output, signal: stop.signal })) {
        events.push(event.type);
        if (event.type === "line") lines.push(`${event.id} ${event.line.text}`);
      }
    })().catch((error: unknown) => error);
    await eventually("the snapshot", () => events.length > 0);

    await old.print("error\nfine\n");
    await eventually("a line that was begun", () => lines.length === 1);
    const { id: short } = await client.start({ command: "echo", args: ["short error"] });
    await eventually("a job that has come and gone", () => lines.length === 2);

    cut();
    const { id: unseen } = await server.client
      .start({ command: "sh", args: ["-c", "echo unseen error >&2"] })
      .then(({ job }) => job!);
    await old.print("error after\n");
    await eventually("what came meanwhile", () => lines.length === 4);

    const { id: slow } = await client.start({
      command: "sh",
      args: ["-c", "echo slow error 1; while [ ! -e go ]; do sleep 0.01; done; echo slow error 2"],
      workDir: server.stateDir,
    });
    await eventually("the first of two", () => lines.length === 5);
    await server.kill();
    writeFileSync(join(server.stateDir, "go"), "");
    await server.start();
    const { id: last } = await server.client
      .start({ command: "echo", args: ["last error"] })
      .then(({ job }) => job!);
    await old.print("error at last\n");
    await eventually("what came over a restart", () => lines.length === 8);
    stop.abort(new Error("enough"));
    expect(await watching).toMatchObject({ message: "enough" });
    expect(lines.toSorted()).toEqual(
      [
        `${old.id} half of an error`,
        `${old.id} error after`,
        `${old.id} error at last`,
        `${short} short error`,
        `${unseen} unseen error`,
        `${slow} slow error 1`,
        `${slow} slow error 2`,
        `${last} last error`,
      ].toSorted(),
    );
    expect(events).toContain("searched");
    await client.cancel(other.id, { gracePeriodMs: 0 });
    await old.end();
  });

  test("a filter is for their output as well; a bad pattern is refused", async () => {
    const server = await TestServer.start();
    const client = clientOf(server.socketPath);
    const watching = launch(server.stateDir, ["watch", "--name", "mine", "--grep", "error"]);
    // Nothing shows that it has begun but a line itself.
    await eventually("a line of the job that is asked for", async () => {
      await client.wait((await client.start({ command: "echo", args: ["not mine: error"] })).id);
      const args = ["mine: error"];
      await client.wait((await client.start({ command: "echo", args, name: "mine" })).id);
      return watching.stdout().includes("mine: error");
    });
    expect(watching.stdout()).toMatch(/^(mine|\w{12}) \| mine: error\n/);
    expect(watching.stdout()).not.toContain("not mine");
    watching.signal("SIGINT");
    await watching.ended;
    const events = client.watchJobs({ output: { pattern: "(" } });
    await expect(events[Symbol.asyncIterator]().next()).rejects.toThrow(
      "output_pattern.pattern: missing closing",
    );
    expect((await procman(server.stateDir, "watch", "--all")).stderr).toContain("takes --grep");
  });
});
