import type { JsonObject } from "@bufbuild/protobuf";
import { truncateSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import {
  bytesOf,
  all,
  fails,
  type Job,
  jobOf,
  kill,
  LONG,
  type Scenario,
  start,
  startLong,
  wait,
} from "./scenario.js";

export const JOB_SCENARIOS: readonly Scenario[] = [
  {
    name: "Start, Wait and Get",
    async run(client) {
      const job = await start(client, "echo out; echo err >&2; exit 7", { labels: { a: "b" } });
      expect(job).toMatchObject({ status: "STATUS_RUNNING", command: "sh", labels: { a: "b" } });
      expect(Number(job["pid"])).toBeGreaterThan(1);
      const ended = await wait(client, job.id);
      expect(ended).toMatchObject({ status: "STATUS_FAILED", exitCode: 7, stdoutBytes: "4" });
      expect(jobOf(await client.call("Get", { id: job.id }))).toEqual(ended);
    },
  },
  {
    name: "Start with every option; environment values are secret",
    async run(client) {
      const request = {
        env: { SECRET: "s€cret" },
        clearEnv: true,
        workDir: "/usr",
        mergeOutput: true,
        output: "OUTPUT_PIPE",
        timeout: "60s",
      };
      const job = await start(client, 'pwd; echo "$SECRET$HOME" >&2', request);
      expect(job).toMatchObject({ ...request, env: { SECRET: "" } });
      const events = await all(client.stream("Attach", { id: job.id, follow: true }));
      expect(bytesOf(events, "STREAM_STDOUT").toString()).toBe("/usr\ns€cret\n");
      const told = jobOf(await client.call("Get", { id: job.id, includeEnv: true }));
      expect(told).toMatchObject(request);
      const limited = jobOf(await client.call("Start", { ...LONG, timeout: "0.050s" }));
      const ended = await wait(client, limited.id);
      expect(ended.status).toBe("STATUS_FAILED");
      expect(ended["error"]).toContain("time");
    },
  },
  {
    name: "Start again with its request_id",
    async run(client) {
      const request = { ...LONG, requestId: `once ${client.kind} ${client.over} ü` };
      const first = jobOf(await client.call("Start", request));
      const again = jobOf(await client.call("Start", request));
      expect(again.id).toBe(first.id);
      const other = { ...request, args: ["1001"] };
      await fails(client, "Start", other, "REQUEST_ID_CONFLICT", { fields: ["request_id"] });
      await kill(client, first.id);
    },
  },
  {
    name: "Wait with a timeout",
    async run(client) {
      const job = await startLong(client);
      const seen = jobOf(await client.call("Wait", { id: job.id, timeout: "0.050s" }));
      expect(seen.status).toBe("STATUS_RUNNING");
      await kill(client, job.id);
    },
  },
  {
    name: "Wait for a line of output, and for a port",
    async run(client) {
      const program =
        "console.log('starting');require('net').createServer().listen(0,()=>console.log('ready in 5 ms'))";
      const request = { command: process.execPath, args: ["-e", program] };
      const { id } = jobOf(await client.call("Start", request));
      const output = { pattern: String.raw`ready in \d+ ms$` };
      expect(await client.call("Wait", { id, output })).toMatchObject({
        job: { status: "STATUS_RUNNING" },
        line: { text: "ready in 5 ms", offset: "9", nextOffset: "23" },
      });
      const { port } = await client.call("Wait", { id, port: 0 });
      expect(port).toBeGreaterThan(0);
      const never = { id, output: { pattern: "never" }, timeout: "0s" };
      expect(await client.call("Wait", never)).toMatchObject({ searched: { stdoutOffset: "23" } });
      const beyond = { id, output: { pattern: "x", stdoutOffset: "24" } };
      await fails(client, "Wait", beyond, "OFFSET_OUT_OF_RANGE", { fields: ["stdout_offset"] });
      await kill(client, id);
    },
  },
  {
    name: "List with filters and pages",
    async run(client) {
      const labels = { list: `${client.kind} ${client.over}` };
      const ids: string[] = [];
      for (let n = 0; n < 3; n += 1) ids.unshift((await start(client, "true", { labels })).id);
      await Promise.all(ids.map((id) => wait(client, id)));
      const filter = { labels, statuses: ["STATUS_COMPLETED"], pageSize: 2 };
      const first = await client.call("List", filter);
      expect(first["totalSize"]).toBe(3);
      const pageToken = first["nextPageToken"] as string;
      const next = await client.call("List", { ...filter, pageToken });
      const listed = [first, next].flatMap((page) => page["jobs"] as unknown as Job[]);
      expect(listed.map(({ id }) => id)).toEqual(ids);
      expect(next["nextPageToken"] ?? "").toBe("");
      const fields = ["page_token"];
      await fails(client, "List", { pageToken: "x" }, "INVALID_PAGE_TOKEN", { fields });
      await fails(client, "List", { pageToken }, "INVALID_PAGE_TOKEN", { fields });
    },
  },
  {
    name: "WatchJobs: a snapshot, then changes",
    async run(client) {
      const labels = { watch: `${client.kind} ${client.over}` };
      const leave = new AbortController();
      const seen: string[] = [];
      const watching = (async () => {
        const { signal } = leave;
        for await (const event of client.stream("WatchJobs", { labels }, { signal })) {
          const changed = event["changed"] as { job?: Job } | undefined;
          seen.push(changed?.job?.status ?? Object.keys(event)[0] ?? "");
        }
      })().catch(() => {});
      await eventually("the snapshot", () => seen.length === 1);
      const job = await start(client, "exit 1", { labels });
      await wait(client, job.id);
      await client.call("Remove", { id: job.id });
      await eventually("the removal", () => seen.includes("removed"));
      leave.abort();
      await watching;
      expect(seen.filter((each) => each !== "STATUS_RUNNING")).toEqual([
        "snapshot",
        "STATUS_FAILED",
        "removed",
      ]);
    },
  },
  {
    name: "WatchJobs: lines of their output that match",
    async run(client) {
      const labels = { lines: `${client.kind} ${client.over}` };
      const output = { pattern: "error", streams: ["STREAM_STDOUT"] };
      const leave = new AbortController();
      const seen: JsonObject[] = [];
      const watching = (async () => {
        const { signal } = leave;
        const request = { labels, outputPattern: output };
        for await (const event of client.stream("WatchJobs", request, { signal })) seen.push(event);
      })().catch(() => {});
      await eventually("the snapshot", () => seen.length === 1);
      const { id } = await start(client, "echo fine; echo error; echo error >&2", { labels });
      const found = () => seen.filter((event) => event["line"] || event["searched"]);
      await eventually("the line, and the end", () => found().length === 2);
      leave.abort();
      await watching;
      expect(found()).toMatchObject([
        { line: { id, line: { text: "error", offset: "5" } } },
        { searched: { position: { id, stdoutOffset: "11" }, complete: true } },
      ]);
      await fails(client, "WatchJobs", { outputPattern: {} }, "INVALID_ARGUMENT", {
        fields: ["output_pattern.pattern"],
      });
    },
  },
  {
    name: "Signal and Cancel",
    async run(client) {
      const signalled = await startLong(client);
      await client.call("Signal", { id: signalled.id, signal: "USR1" });
      expect(await wait(client, signalled.id)).toMatchObject({ signal: "SIGUSR1", exitCode: 138 });
      const { id } = await startLong(client);
      const request = { id, gracePeriod: "10s" };
      expect(jobOf(await client.call("Cancel", request)).status).toBe("STATUS_CANCELLED");
      await fails(client, "Cancel", request, "JOB_NOT_RUNNING", { jobId: id });
      await fails(client, "Signal", { id, signal: "TERM" }, "JOB_NOT_RUNNING", { jobId: id });
    },
  },
  {
    name: "names: in place of an id, one job at a time, and found again",
    async run(client) {
      const name = `n-${client.kind}-${client.over}`.toLowerCase().replace(/[^a-z0-9-]+/g, "-");
      const first = jobOf(await client.call("Start", { ...LONG, name }));
      expect(jobOf(await client.call("Get", { id: name }))).toMatchObject({ id: first.id, name });
      const again = { ...LONG, name };
      await fails(client, "Start", again, "NAME_IN_USE", { fields: ["name"], jobId: first.id });
      const found = { command: "true", name, ifRunning: "IF_RUNNING_RETURN" };
      expect(jobOf(await client.call("Start", found)).id).toBe(first.id);
      await kill(client, name);
      const second = jobOf(await client.call("Start", found));
      await wait(client, name);
      const listed = (await client.call("List", { name }))["jobs"] as unknown as Job[];
      expect(listed.map(({ id }) => id)).toEqual([second.id, first.id]);
      await fails(client, "Remove", { id: name }, "JOB_NOT_FOUND", { jobId: name });
    },
  },
  {
    name: "Restart, and again with its request_id",
    async run(client) {
      const secret = { env: { SECRET: "s€cret" } };
      const first = await start(client, 'echo "$SECRET"; exec sleep 1000', secret);
      const request = {
        id: first.id,
        gracePeriod: "10s",
        requestId: `again ${client.kind} ${client.over} ü`,
      };
      const next = jobOf(await client.call("Restart", request));
      expect(next).toMatchObject({
        status: "STATUS_RUNNING",
        previousId: first.id,
        requestId: request.requestId,
        env: { SECRET: "" },
      });
      expect(jobOf(await client.call("Restart", request)).id).toBe(next.id);
      expect(await wait(client, first.id)).toMatchObject({ status: "STATUS_CANCELLED" });
      const output = { pattern: "s€cret" };
      await client.call("Wait", { id: next.id, output });
      const other = { ...request, id: next.id };
      await fails(client, "Restart", other, "REQUEST_ID_CONFLICT", { fields: ["request_id"] });
      await kill(client, next.id);
    },
  },
  {
    name: "RenewLease: a job ends when its lease was not renewed",
    async run(client) {
      const job = await startLong(client);
      await fails(client, "RenewLease", { id: job.id }, "NO_LEASE", { jobId: job.id });
      await kill(client, job.id);

      const leased = await start(client, "exec sleep 1000", { lease: "3600s" });
      expect(leased).toMatchObject({ lease: "3600s", status: "STATUS_RUNNING" });
      const { id } = leased;
      const renewed = jobOf(await client.call("RenewLease", { id }));
      const expires = (job: Job) => Date.parse(job["leaseExpireTime"] as string);
      expect(expires(renewed)).toBeGreaterThan(expires(leased));
      await fails(client, "RenewLease", { id, lease: "0s" }, "INVALID_ARGUMENT", {
        fields: ["lease"],
      });
      const last = jobOf(await client.call("RenewLease", { id, lease: "0.2s" }));
      expect(last).toMatchObject({ lease: "0.200s" });
      expect(await wait(client, id)).toMatchObject({
        status: "STATUS_CANCELLED",
        error: "its lease of 200 ms was not renewed",
      });
      await fails(client, "RenewLease", { id }, "JOB_NOT_RUNNING", { jobId: id });
    },
  },
  {
    name: "CancelJobs, SignalJobs and RemoveJobs: by filters and by ids",
    async run(client) {
      const labels = { several: `${client.kind} ${client.over}` };
      const start = async () => jobOf(await client.call("Start", { ...LONG, labels })).id;
      const ids = [await start(), await start()];
      const selection = { labels };
      const newestFirst = ids.toReversed();
      const results = (of: readonly string[], rest: JsonObject = {}) =>
        of.map((id) => ({ id, ...rest }));
      const signalled = await client.call("SignalJobs", { selection, signal: "CONT" });
      expect(signalled).toMatchObject({
        results: results(newestFirst, { job: { status: "STATUS_RUNNING" } }),
        doneSize: 2,
      });
      const cancelled = await client.call("CancelJobs", { selection, gracePeriod: "10s" });
      expect(cancelled).toMatchObject({
        results: results(newestFirst, { job: { status: "STATUS_CANCELLED" } }),
      });
      const again = await client.call("CancelJobs", { selection: { ids: [...ids, "none"] } });
      const failure = { reason: "JOB_NOT_RUNNING" };
      expect(again).toMatchObject({
        results: [
          ...results(ids, { failure }),
          { id: "none", failure: { reason: "JOB_NOT_FOUND", message: 'no job "none"' } },
        ],
        failedSize: 3,
      });
      const running = await start();
      expect(await client.call("RemoveJobs", { selection })).toMatchObject({
        results: results(newestFirst),
        doneSize: 2,
      });
      const removal = { selection, cancel: true, gracePeriod: "0s" };
      expect(await client.call("RemoveJobs", removal)).toMatchObject({
        results: results([running]),
        doneSize: 1,
      });
      await fails(client, "Get", { id: running }, "JOB_NOT_FOUND", { jobId: running });
    },
  },
  {
    name: "SendInput and ResizeWindow",
    async run(client) {
      const more = { pty: true, stdin: true };
      const { id, ...job } = await start(client, "stty size; cat; stty size", more);
      expect(job).toMatchObject({ ...more, windowSize: { rows: 24, columns: 80 } });
      const first = { id, offset: "0", data: base64("typed\n") };
      for (let n = 0; n < 2; n += 1) {
        expect((await client.call("SendInput", first))["nextOffset"]).toBe("6");
      }
      const other = { ...first, sender: "other" };
      expect((await client.call("SendInput", other))["nextOffset"]).toBe("6");
      const gap = { ...first, offset: "7" };
      await fails(client, "SendInput", gap, "OFFSET_OUT_OF_RANGE", { jobId: id });
      const windowSize = { rows: 50, columns: 132 };
      const resized = jobOf(await client.call("ResizeWindow", { id, windowSize }));
      expect(resized.status).toBe("STATUS_RUNNING");
      await client.call("SendInput", { id, offset: "6", close: true });
      expect(await wait(client, id)).toMatchObject({ status: "STATUS_COMPLETED" });
      const events = await all(client.stream("Attach", { id }));
      const shown = bytesOf(events, "STREAM_STDOUT").toString();
      expect(shown).toMatch(/(?:typed\r\n[^]*){4}50 132\r\n$/);
      const late = { id, data: base64("x") };
      await fails(client, "SendInput", late, "JOB_NOT_RUNNING", { jobId: id });
      await fails(client, "ResizeWindow", { id, windowSize }, "JOB_NOT_RUNNING", { jobId: id });
    },
  },
  {
    name: "SendInput to a command that takes none, or reads none",
    async run(client, stage) {
      const { id: deaf } = await startLong(client);
      const some = base64("x");
      await fails(client, "SendInput", { id: deaf, data: some }, "INPUT_NOT_OPEN", { jobId: deaf });
      const resize = { id: deaf, windowSize: { rows: 24, columns: 80 } };
      await fails(client, "ResizeWindow", resize, "NO_TERMINAL", { jobId: deaf });
      await kill(client, deaf);
      const { id } = jobOf(await client.call("Start", { ...LONG, stdin: true }));
      const much = { id, data: Buffer.alloc(1024 * 1024).toString("base64") };
      for (let n = 0; n < 2; n += 1) await client.call("SendInput", much);
      await fails(client, "SendInput", much, "INPUT_BACKLOG", { jobId: id });
      truncateSync(join(stage.server.stateDir, "jobs", id, "stdin.log"), 16 * 1024 ** 3);
      await fails(client, "SendInput", much, "INPUT_LIMIT", { jobId: id });
      await kill(client, id);
    },
  },
  {
    name: "Remove, Cleanup and Refresh",
    async run(client, stage) {
      const { id } = await startLong(client);
      await fails(client, "Remove", { id }, "JOB_RUNNING", { jobId: id });
      await kill(client, id);
      expect((await client.call("Cleanup", {}))["removedIds"] ?? []).toEqual([]);
      await client.call("Remove", { id });
      await fails(client, "Get", { id }, "JOB_NOT_FOUND", { jobId: id });
      // A job of another's that ends just then is a change.
      await stage.together();
      expect(await client.call("Refresh", {})).toEqual({});
      // Everybody's jobs are removed by the first who asks.
      await stage.together();
      await stage.inTurn(async () => {
        const old = await start(client, "true");
        await wait(client, old.id);
        const removed = await client.call("Cleanup", { olderThan: "0s" });
        expect(removed["removedIds"]).toContain(old.id);
      });
    },
  },
];

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
