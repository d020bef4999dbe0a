import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Stream } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import type { WatchEvent } from "../../src/contract/procman.js";
import { collect } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { MAIN, TestServer } from "../helpers/test-server.js";

/* Standard output is a file: a command that opens /dev/stdout anew truncates its own log. */

const server = TestServer.shared();

/** Goes on, between two steps, once the file is there that the test makes. */
const WAIT = 'until [ -e "$0.go" ]; do sleep 0.02; done';
const TRUNCATING = `echo one; echo two; ${WAIT}; echo warn >/dev/stdout; echo end`;

function pathOf(name: string): string {
  return join(server.stateDir, name);
}

function goOn(name: string): Promise<unknown> {
  return once(spawn("touch", [`${pathOf(name)}.go`]), "exit");
}

async function start(script: string, name: string): Promise<string> {
  const { job } = await server.client.start({ command: "sh", args: ["-c", script, pathOf(name)] });
  return job!.id;
}

/** Runs the real CLI. */
function procman(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, PROCMAN_STATE_DIR: server.stateDir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const ended = once(child, "close").then(([code]) => ({ code: code as number, stdout, stderr }));
  return { stdout: () => stdout, ended };
}

describe("a command that truncates its own log", () => {
  test("ends no run: it shows all, and exits as the job did", async () => {
    const run = procman("run", "--", "sh", "-c", `${TRUNCATING}; exit 3`, pathOf("run"));
    await eventually("the first output", () => run.stdout() === "one\ntwo\n");
    await goOn("run");
    expect(await run.ended).toEqual({ code: 3, stdout: "one\ntwo\nwarn\nend\n", stderr: "" });
  });

  test("is told of to who attaches; offsets go on, and the job tells of it", async () => {
    const id = await start(TRUNCATING, "attach");
    let text = "";
    const events = [];
    for await (const { event } of server.client.attach({ id, follow: true })) {
      events.push(event.case);
      if (event.case === "chunk") {
        expect(Number(event.value.offset)).toBe(text.length);
        text += Buffer.from(event.value.data).toString();
        if (text === "one\ntwo\n") await goOn("attach");
      }
      if (event.case === "truncated") {
        expect(event.value).toMatchObject({ stream: Stream.STDOUT, offset: 8n });
        expect(text).toBe("one\ntwo\n");
      }
    }
    expect(text).toBe("one\ntwo\nwarn\nend\n");
    expect(events.filter((name) => name === "truncated")).toHaveLength(1);
    const known = { stdoutBytes: 17n, stdoutFirstOffset: 8n, stdoutTruncations: 1 };
    expect((await server.client.get({ id })).job).toMatchObject(known);

    const details = await procman("get", id).ended;
    expect(details.stdout).toMatch(
      /stdout: +17 B; truncated by the command, 1 times; the last 9 B/,
    );
    const later = await procman("attach", "--stdout-offset", "8", id).ended;
    expect(later).toEqual({ code: 0, stdout: "warn\nend\n", stderr: "" });

    // The next server knows it too.
    await server.restart();
    expect((await server.client.get({ id })).job).toMatchObject(known);
    expect((await procman("attach", id).ended).stdout).toBe("warn\nend\n");
  });

  test("does not keep a wait from the line that it waits for", async () => {
    const id = await start(TRUNCATING, "wait");
    await server.client.wait({ id, until: { case: "output", value: { pattern: "two" } } });
    const waiting = procman("wait", "--for-output", "^end$", id);
    await goOn("wait");
    expect(await waiting.ended).toMatchObject({ code: 0, stdout: "end\n" });
  });

  test("while no server runs: who followed goes on", async () => {
    const own = await TestServer.start();
    const go = join(own.stateDir, "down");
    const client = createProcmanClient({ socketPath: own.socketPath });
    const script = `echo one; echo two and more; ${WAIT}; echo warn >/dev/stdout; echo end`;
    const { id } = await client.start({
      command: "sh",
      args: ["-c", script, go],
    });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of client.watch(id)) {
        seen.push(shown(event));
        if (event.type !== "line" || event.text !== "two and more") continue;
        await own.kill();
        await once(spawn("touch", [`${go}.go`]), "exit");
        const log = join(own.stateDir, "jobs", id, "stdout.log");
        await eventually("the truncation", () => readFileSync(log, "utf8") === "warn\nend\n");
        await own.start();
      }
    })();
    await watching;
    expect(seen).toEqual([
      "opened",
      "one",
      "two and more",
      "truncated at 0",
      "warn",
      "end",
      "ended",
    ]);
    await client.close();
  });
});

function shown(event: WatchEvent): string {
  switch (event.type) {
    case "line":
      return event.text;
    case "truncated":
      return `truncated at ${event.offset}`;
    case "searched":
    case "opened":
    case "ended":
      return event.type;
  }
}

test("output whose log was deleted is said to be missing, and attach fails", async () => {
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", "echo out; echo err >&2"],
  });
  const { id } = job!;
  await server.client.wait({ id });
  rmSync(join(server.stateDir, "jobs", id, "stdout.log"));
  expect((await server.client.get({ id })).job).toMatchObject({ missingLogs: [Stream.STDOUT] });
  const events = await collect(server.client.attach({ id }));
  expect(events[0]!.event).toMatchObject({
    case: "opened",
    value: { job: { missingLogs: [Stream.STDOUT] } },
  });
  for (const command of ["attach", "watch"]) {
    const { code, stdout, stderr } = await procman(command, id).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(
      `err\nprocman: the output of job ${id} is not complete: stdout.log was deleted`,
    );
    expect(await procman(command, "--stream", "stderr", id).ended).toMatchObject({ code: 0 });
  }
  expect((await procman("get", id).ended).stdout).toContain("its log was deleted");
});
