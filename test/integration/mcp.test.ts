import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import {
  type Progress,
  ResourceUpdatedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { managerPid } from "../../src/manager-pid.js";
import { eventually } from "../helpers/eventually.js";
import { type Answer, McpTestClient } from "../helpers/mcp-client.js";
import { endAll, newStateDir, procman } from "../helpers/procman-command.js";
import { sharedTempDir, tempDir } from "../helpers/temp-dir.js";
import { MAIN, TestServer } from "../helpers/test-server.js";

const stateDir = join(sharedTempDir(), "state");
const agent = new McpTestClient(stateDir, ["--label", "agent=test"]);
beforeAll(() => agent.connect());
afterAll(async () => {
  await agent.close();
  await endAll(stateDir);
});

const call: McpTestClient["call"] = (...args) => agent.call(...args);

async function done(...args: Parameters<McpTestClient["call"]>): Promise<Answer["told"]> {
  const { isError, text, told } = await call(...args);
  expect(isError, text).toBe(false);
  return told;
}

async function status(id: string): Promise<string> {
  return (await done("get", { id })).job.status;
}

describe("tools", () => {
  test("are few, and say what they do, what they take and whether they change something", async () => {
    const { tools } = await agent.client.listTools();
    const reading = ["list", "get", "output", "wait"];
    const changing = ["run", "start", "send_input", "cancel", "restart", "signal", "remove"];
    expect(tools.map(({ name }) => name).sort()).toEqual([...reading, ...changing].sort());
    const page = readFileSync(join(import.meta.dirname, "../../docs/agents.md"), "utf8");
    for (const { name, description, inputSchema, outputSchema, annotations } of tools) {
      expect(description?.length, name).toBeGreaterThan(80);
      expect(page).toContain(`\`${name}\``);
      expect(annotations?.readOnlyHint, name).toBe(reading.includes(name));
      expect(inputSchema["additionalProperties"], name).toBe(false);
      expect(outputSchema, name).toBeDefined();
      for (const [argument, schema] of Object.entries(inputSchema.properties ?? {})) {
        expect(schema, `${name} ${argument}`).toHaveProperty("description");
      }
    }
    expect(agent.client.getInstructions()).toContain("run");
  });

  test("run returns exit code and output of a command that ends", async () => {
    const { told, text } = await call("run", { command: "echo out; echo err >&2; exit 3" });
    expect(told).toMatchObject({
      job: { status: "failed", exit_code: 3, labels: { agent: "test" } },
      still_running: false,
      stdout: "out\n",
      stderr: "err\n",
      next: "",
    });
    expect(text).toMatch(/^job \w+: failed, exit code 3.*\n\nstdout:\nout\n\nstderr:\nerr$/);
  });

  test("run takes a program with arguments, environment and a directory", async () => {
    const dir = realpathSync(tempDir());
    const told = await done("run", {
      command: "sh",
      args: ["-c", 'echo "$A"; pwd', "ignored"],
      env: { A: "b c" },
      work_dir: dir,
      labels: { job: "x" },
    });
    expect(told).toMatchObject({ stdout: `b c\n${dir}\n`, job: { labels: { job: "x" } } });
    expect(told.job.command).toContain("ignored");
  });

  test("run returns the id where it still runs, and wait goes on from there", async () => {
    const first = await call("run", {
      command: "echo one; read line; echo two",
      stdin: true,
      wait_seconds: 0.2,
    });
    expect(first.told).toMatchObject({ still_running: true, job: { status: "running" } });
    const { id } = first.told.job;
    await eventually("the output", async () => (await done("output", { id })).stdout === "one\n");
    const { stdout_offset, next } = await done("wait", { id, wait_seconds: 0 });
    expect(next).toContain(`wait with id "${id}", stdout_offset 4`);
    await done("send_input", { id, text: "go\n" });
    const rest = await done("wait", { id, stdout_offset, wait_seconds: 20 });
    expect(rest).toMatchObject({ still_running: false, stdout: "two\n", job: { exit_code: 0 } });
  });

  test("start, wait for a line and a port, restart, signal, cancel, remove", async () => {
    const server =
      'require("http").createServer().listen(0, "127.0.0.1", () => console.log("ready in 5 ms"))';
    const web = { command: process.execPath, args: ["-e", server], name: "web" };
    const { job, started } = await done("start", web);
    expect(started).toBe(true);
    expect(job).toMatchObject({ status: "running", name: "web" });

    const again = await done("start", { ...web, if_running: "return" });
    expect(again).toMatchObject({ started: false, job: { id: job.id } });

    const ready = await done("wait", { id: "web", for_output: "ready in \\d+", wait_seconds: 20 });
    expect(ready).toMatchObject({ matched_line: "ready in 5 ms", still_running: true });
    const listening = await done("wait", { id: "web", for_port: 0, wait_seconds: 20 });
    expect(listening.port).toBeGreaterThan(0);
    const missed = await call("wait", { id: "web", for_output: "never", wait_seconds: 0 });
    expect(missed.text).toContain("No line has matched yet.");

    const next = await done("restart", { id: "web", grace_seconds: 0 });
    expect(next.job).toMatchObject({ status: "running", name: "web", previous_id: job.id });
    expect((await done("list", { name: "web" })).total).toBe(2);

    const { id } = next.job;
    await done("signal", { id, signal: "USR2" });
    const ended = await done("wait", { id, wait_seconds: 20 });
    expect(ended.job).toMatchObject({ status: "failed", signal: "SIGUSR2" });

    const { job: sleeper } = await done("start", { command: "sleep 1000" });
    const cancelled = await done("cancel", { id: sleeper.id });
    expect(cancelled.job).toMatchObject({ status: "cancelled", command: "sleep 1000" });
    expect(await done("remove", { id: sleeper.id })).toEqual({ removed_id: sleeper.id });
    const { job: other } = await done("start", { command: "sleep 1000" });
    await done("remove", { id: other.id, cancel: true });
    expect((await call("get", { id: other.id })).isError).toBe(true);
  });

  test("what a command leaves behind is told, and ended when asked for", async () => {
    const { told, text } = await call("run", { command: "sleep 1000 & exit 0" });
    expect(told.job).toMatchObject({ status: "completed", remaining_processes: 1 });
    expect(text).toContain("1 processes are left");
    const { id } = told.job;
    expect((await call("cancel", { id })).text).toContain("include_remaining");
    expect((await call("remove", { id })).text).toContain("include_remaining");
    const ended = await done("cancel", { id, include_remaining: true });
    expect(ended.job).toMatchObject({ status: "completed" });
    await done("remove", { id });
    const other = await done("run", { command: "sleep 1000 & exit 0" });
    expect(await done("remove", { id: other.job.id, cancel: true })).toEqual({
      removed_id: other.job.id,
    });
  });

  test("a job with a lease lives as long as the agent, also one that is restarted", async () => {
    const other = await McpTestClient.start(stateDir);
    const request = { command: "sleep 1000", name: "leased", lease_seconds: 3 };
    const { job } = (await other.call("start", request)).told;
    expect(job).toMatchObject({ lease_seconds: 3 });
    const { id } = (await other.call("restart", { id: job.id })).told.job;
    expect(await done("wait", { id, wait_seconds: 4 })).toMatchObject({ still_running: true });
    await other.close();
    const ended = await done("wait", { id, wait_seconds: 30 });
    expect(ended.job).toMatchObject({ status: "cancelled" });
    expect(ended.job.error).toContain("its lease of 3000 ms was not renewed");
    expect((await call("start", { ...request, lease_seconds: 0 })).text).toContain("lease_seconds");
  });

  test("list filters and pages", async () => {
    for (const each of [1, 2, 3]) {
      await done("run", { command: `exit ${each}`, labels: { batch: "7" } });
    }
    const first = await call("list", { labels: { batch: "7" }, limit: 2 });
    expect(first.told.total).toBe(3);
    expect(first.told.jobs.map((job: { exit_code: number }) => job.exit_code)).toEqual([3, 2]);
    expect(first.text).toContain("1 more match");
    const page_token = first.told.next_page_token;
    const second = await done("list", { labels: { batch: "7" }, limit: 2, page_token });
    expect(second.jobs).toHaveLength(1);
    expect(second.next_page_token).toBeUndefined();
    const running = await done("list", { labels: { batch: "7" }, status: ["running"] });
    expect(running).toEqual({ jobs: [], total: 0 });
  });

  test("output reads from an offset, and one end of it", async () => {
    const { job } = await done("run", { command: "seq 1 2000; echo problem >&2" });
    const { id } = job;
    const short = await call("output", { id, max_bytes: 200, stream: "stdout" });
    expect(short.told.stdout).toMatch(
      /^1\n2\n[^]*bytes left out, from stdout_offset \d+\][^]*2000\n$/,
    );
    expect(short.told.omitted_bytes).toBeGreaterThan(8000);
    const head = await done("output", { id, stdout_offset: 2, max_bytes: 100, stream: "stdout" });
    expect(head.stdout).toMatch(/^2\n3\n/);
    expect(head).toMatchObject({ stdout_offset: 102, omitted_bytes: 0 });
    expect(head.next).toContain("There is more output: call output with stdout_offset 102");
    const tail = await done("output", { id, ends: "tail", max_bytes: 100, stream: "stdout" });
    expect(tail.stdout).toMatch(/1999\n2000\n$/);
  });
});

describe("errors", () => {
  test.each([
    ["get", { id: "nonesuch" }, /^JOB_NOT_FOUND: no job "nonesuch"\nlist shows/],
    ["run", { command: "nonesuch", args: [] }, /^COMMAND_NOT_FOUND: .*nonesuch/],
    ["run", { command: "true", work_dir: "/nonesuch" }, /^WORK_DIR_NOT_FOUND: .*\/nonesuch/],
    ["run", { command: "true", name: "Not A Name" }, /^INVALID_ARGUMENT: name: /],
    ["run", { command: "true", timeout: 5 }, /Unrecognized key: "timeout"/],
    ["run", { command: "true", wait_seconds: -1 }, /wait_seconds/],
    ["run", {}, /command/],
    ["wait", { id: "x", for_output: "a", for_port: 1 }, /for_port: cannot be given together/],
    ["signal", { id: "nonesuch", signal: "INT" }, /^JOB_NOT_FOUND/],
  ])("%s %j", async (name, args, message) => {
    const { isError, text } = await call(name, args);
    expect(isError).toBe(true);
    expect(text).toMatch(message);
  });

  test("name reason, field and what to do", async () => {
    const { job } = await done("run", { command: "true" });
    const { id } = job;
    const wrongPattern = await call("wait", { id, for_output: "(" });
    expect(wrongPattern.text).toMatch(/^INVALID_ARGUMENT: for_output: /);
    expect(wrongPattern.meta).toMatchObject({
      reason: "INVALID_ARGUMENT",
      violations: [{ field: "for_output" }],
    });
    expect((await call("cancel", { id })).text).toMatch(/^JOB_NOT_RUNNING: [^]*restart/);
    expect((await call("output", { id, stdout_offset: 99 })).text).toMatch(
      /^OFFSET_OUT_OF_RANGE: .*stdout_offset/,
    );
    const { job: running } = await done("start", { command: "sleep 1000", name: "busy" });
    expect((await call("send_input", { id: running.id, text: "x" })).text).toMatch(
      /^INPUT_NOT_OPEN: [^]*stdin: true/,
    );
    expect((await call("start", { command: "true", name: "busy" })).text).toMatch(
      /^NAME_IN_USE: [^]*if_running "return"/,
    );
    expect((await call("remove", { id: running.id })).text).toMatch(
      /^JOB_RUNNING: [^]*cancel: true/,
    );
    expect((await call("remove", { id: "busy", cancel: true })).text).toMatch(/^JOB_NOT_FOUND/);
    await done("cancel", { id: "busy" });
  });
});

describe("while a call waits", () => {
  test("its client is told the progress, where it wants to know", async () => {
    const told: Progress[] = [];
    const { job } = await done("start", {
      command:
        'for i in 10 20 30; do printf "\\033[1m%s%% done\\033[0m\\r" $i; sleep 0.5; done; sleep 1000',
    });
    const waiting = call(
      "wait",
      { id: job.id, wait_seconds: 60 },
      { onprogress: (p) => told.push(p) },
    );
    await eventually("progress", () => told.length >= 2);
    const [first, second] = told as [Progress, Progress];
    expect(second.progress).toBeGreaterThan(first.progress);
    expect(first.message).toMatch(/^running \d0% \d0% done$/);
    await done("cancel", { id: job.id });
    expect((await waiting).told.job.status).toBe("cancelled");
  });

  test("to cancel it ends the wait, never the job", async () => {
    const { job } = await done("start", { command: "sleep 1000" });
    const leaving = new AbortController();
    const waiting = call("wait", { id: job.id, wait_seconds: 600 }, { signal: leaving.signal });
    const started = new AbortController();
    const running = call(
      "run",
      { command: "sleep 1000", labels: { left: "yes" }, wait_seconds: 600 },
      { signal: started.signal },
    );
    const left = await eventually("the job", async () => {
      const { jobs } = await done("list", { labels: { left: "yes" } });
      return jobs[0];
    });
    leaving.abort("enough");
    started.abort("enough");
    await expect(waiting).rejects.toThrow();
    await expect(running).rejects.toThrow();
    for (const { id } of [job, left]) {
      expect(await status(id)).toBe("running");
      await done("cancel", { id });
    }
  });

  test("procman's server may be killed: another one is started, and the call goes on", async () => {
    const { job } = await done("start", { command: "read line; echo got $line", stdin: true });
    const { id } = job;
    const waiting = call("wait", { id, wait_seconds: 60 });
    const pid = (await managerPid(stateDir)) as number;
    process.kill(pid, "SIGKILL");
    const next = await eventually("another server", async () => {
      const now = await managerPid(stateDir);
      return now === pid ? undefined : now;
    });
    expect(await status(id)).toBe("running");
    await done("send_input", { id, text: "it\n", close: true });
    expect((await waiting).told).toMatchObject({ stdout: "got it\n", still_running: false });

    // Between two calls.
    process.kill(next, "SIGKILL");
    expect((await done("run", { command: "echo on" })).stdout).toBe("on\n");
  });
});

describe("output", () => {
  test("of any bytes becomes text that hides nothing", async () => {
    const bytes = [
      "\\033]0;title\\007\\033[31mred\\033[0m\\n",
      "10%%\\r90%%\\rdone\\r\\n",
      "a\\000b\\033cc\\010\\n",
      "\\377\\376 \\342\\200\\256 right to left\\n",
      '{"jsonrpc":"2.0","id":1,"result":{}}\\n',
    ].join("");
    const told = await done("run", { command: `printf '${bytes}'` });
    expect(told.stdout.split("\n")).toEqual([
      "red",
      "done",
      "a\\u{0}bc\\u{8}",
      "\uFFFD\uFFFD \\u{202e} right to left",
      '{"jsonrpc":"2.0","id":1,"result":{}}',
      "",
    ]);
    const uri = `procman://jobs/${told.job.id}/stdout`;
    const [content] = (await agent.client.readResource({ uri })).contents;
    const log = Buffer.from((content as { blob: string }).blob, "base64");
    expect(log.subarray(0, 4).toString()).toBe("\x1b]0;");
    expect(log).toHaveLength(told.stdout_offset);
  });

  test("of 100 MB stays bounded", async () => {
    const { job, stdout, omitted_bytes } = await done("run", {
      command: "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end",
      wait_seconds: 50,
      max_bytes: 1000,
    });
    expect(job).toMatchObject({ status: "completed", stdout_bytes: 100_000_005 });
    expect(stdout.length).toBeLessThan(1200);
    expect(stdout).toMatch(/end\n$/);
    expect(omitted_bytes).toBeGreaterThan(99_000_000);
    const uri = `procman://jobs/${job.id}/stdout`;
    const [content] = (await agent.client.readResource({ uri })).contents;
    expect((content as { text: string }).text).toHaveLength(262_144);
    expect(content?._meta).toMatchObject({ nextOffset: 100_000_005 });
    await done("remove", { id: job.id });
    if (process.platform !== "linux") return;
    const rss = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${agent.pid}/status`, "utf8"))?.[1];
    expect(Number(rss)).toBeLessThan(250_000);
  }, 120_000);
});

describe("resources", () => {
  test("are the logs of jobs, listed and read", async () => {
    const { job } = await done("run", { command: "echo hello; echo oops >&2", name: "logs" });
    const { resources } = await agent.client.listResources();
    const uris = resources.map(({ uri }) => uri);
    expect(uris).toContain(`procman://jobs/${job.id}/stdout`);
    expect(uris).toContain(`procman://jobs/${job.id}/stderr`);
    const { resourceTemplates } = await agent.client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
      "procman://jobs/{id}/stdout",
      "procman://jobs/{id}/stderr",
    ]);
    const { contents } = await agent.client.readResource({ uri: "procman://jobs/logs/stderr" });
    expect(contents[0]).toMatchObject({ text: "oops\n", mimeType: "text/plain" });
    await expect(
      agent.client.readResource({ uri: "procman://jobs/nonesuch/stdout" }),
    ).rejects.toThrow("nonesuch");
    const { completion } = await agent.client.complete({
      ref: { type: "ref/resource", uri: "procman://jobs/{id}/stdout" },
      argument: { name: "id", value: job.id.slice(0, 6) },
    });
    expect(completion.values).toEqual([job.id]);
  });

  test("tell their subscribers when a log has grown, and when its job has ended", async () => {
    const updated: string[] = [];
    agent.client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
      updated.push(params.uri);
    });
    const { job } = await done("start", {
      command: "read line; echo $line; read end",
      stdin: true,
    });
    const uri = `procman://jobs/${job.id}/stdout`;
    await agent.client.subscribeResource({ uri });
    await done("send_input", { id: job.id, text: "a\n" });
    await eventually("news of the output", () => updated.length === 1);
    await done("send_input", { id: job.id, close: true });
    await eventually("news of the end", () => updated.length === 2);
    expect(new Set(updated)).toEqual(new Set([uri]));
    await agent.client.unsubscribeResource({ uri });
    await expect(
      agent.client.subscribeResource({ uri: "procman://jobs/nonesuch/stdout" }),
    ).rejects.toThrow("nonesuch");
  });
});

describe("the process", () => {
  test("starts no procman server before it needs one; its jobs have its directory and go on after it", async () => {
    const own = newStateDir();
    const dir = realpathSync(tempDir());
    const other = await McpTestClient.start(own, [], dir);
    expect(await managerPid(own)).toBeUndefined();
    const { told } = await other.call("run", { command: "pwd; sleep 1000", wait_seconds: 0.5 });
    expect(told.job.work_dir).toBe(dir);
    const { pid } = other;
    await other.close();
    await eventually("its end", () => !isAlive(pid));
    const { stdout } = await procman(own, "get", "--json", told.job.id);
    expect(JSON.parse(stdout)).toMatchObject({ status: "running" });
  });

  test("reaches another server by --host, and runs jobs in that one's directory", async () => {
    const server = await TestServer.start();
    const tokenFile = join(server.stateDir, "token");
    const args = ["--host", server.baseUrl, "--token-file", tokenFile];
    const other = await McpTestClient.start("/nonesuch", args, tempDir());
    const { told, text } = await other.call("run", { command: "pwd", env: { A: "1" } });
    expect(told?.stdout, text).toBe(`${process.cwd()}\n`);
    const relative = await other.call("run", { command: "pwd", work_dir: "src" });
    expect(relative.text).toContain("give an absolute path");
  });

  test("answers what it was asked before its stdin ended, with nothing but the protocol on stdout", async () => {
    const own = newStateDir();
    mkdirSync(own, { recursive: true });
    const child = spawn(process.execPath, [MAIN, "mcp", "--state-dir", own], {
      env: { ...process.env, PROCMAN_LISTEN: "none" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (data: Buffer) => {
        output[name] += data.toString();
      });
    }
    const request = (id: number, method: string, params: object = {}) =>
      child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    request(1, "initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "test", version: "1" },
    });
    child.stdin.write("this is no JSON\n");
    request(2, "tools/call", { name: "run", arguments: { command: "printf '\\n{}\\n'" } });
    request(3, "nonesuch");
    await eventually("an answer", () => output.stdout.includes('"id":2'));
    request(4, "tools/list");
    request(5, "tools/call", { name: "run", arguments: { command: "sleep 1000" } });
    child.stdin.end();
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(0);
    const messages = output.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const answers = messages.filter((message) => "id" in message);
    expect(new Set(answers.map(({ id }) => id))).toEqual(new Set([1, 2, 3, 4]));
    expect(answers.find(({ id }) => id === 3)).toHaveProperty("error");
    expect(output.stderr).toContain("procman: ");
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
