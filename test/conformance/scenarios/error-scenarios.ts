import type { JsonObject } from "@bufbuild/protobuf";
import { expect } from "vitest";
import type { Method } from "../conformance-client.js";
import { fails, kill, type Reason, type Scenario, startLong } from "./scenario.js";

const UNKNOWN = { id: "nonesuch" };

export const ERROR_SCENARIOS: readonly Scenario[] = [
  {
    name: "an unknown job, for every RPC that names one",
    async run(client) {
      const methods = ["Get", "Wait", "Cancel", "Restart", "Remove", "Attach", "Watch"] as const;
      for (const method of [...methods, "SendInput", "RenewLease"] as const) {
        await fails(client, method, UNKNOWN, "JOB_NOT_FOUND", { jobId: UNKNOWN.id });
      }
      const signal = { ...UNKNOWN, signal: "TERM" };
      await fails(client, "Signal", signal, "JOB_NOT_FOUND", { jobId: UNKNOWN.id });
      const resize = { ...UNKNOWN, windowSize: { rows: 24, columns: 80 } };
      await fails(client, "ResizeWindow", resize, "JOB_NOT_FOUND", { jobId: UNKNOWN.id });
    },
  },
  {
    name: "wrong arguments, each named",
    async run(client) {
      const job = await startLong(client);
      const { id } = job;
      const wrong: [Method, JsonObject, string[], Reason?][] = [
        ["Start", {}, ["command"]],
        ["Start", { command: "true", args: ["a\0b"] }, ["args[0]"]],
        ["Start", { command: "true", workDir: "x", env: { "": "" } }, ["env", "work_dir"]],
        ["Start", { command: "true", timeout: "-1s" }, ["timeout"]],
        ["Start", { command: "true", name: "Web" }, ["name"]],
        ["Start", { command: "true", ifRunning: "IF_RUNNING_FAIL" }, ["if_running"]],
        ["Start", { command: "no-such" }, ["command"], "COMMAND_NOT_FOUND"],
        ["Start", { command: "true", workDir: "/none" }, ["work_dir"], "WORK_DIR_NOT_FOUND"],
        ["Start", { command: "/etc/passwd" }, ["command"], "COMMAND_NOT_EXECUTABLE"],
        ["Start", { command: "true", windowSize: { rows: 24, columns: 80 } }, ["window_size"]],
        ["SendInput", { offset: "-1" }, ["id", "offset"]],
        ["ResizeWindow", { id }, ["window_size"]],
        ["Get", {}, ["id"]],
        ["List", { pageSize: -1 }, ["page_size"]],
        ["List", { statuses: ["STATUS_UNSPECIFIED"] }, ["statuses"]],
        ["WatchJobs", { statuses: ["STATUS_UNSPECIFIED"] }, ["statuses"]],
        [
          "Attach",
          { id, streams: ["STREAM_UNSPECIFIED"], tailLines: -1 },
          ["streams", "tail_lines"],
        ],
        [
          "Watch",
          { stdoutOffset: "-1", stderrOffset: "-1" },
          ["id", "stdout_offset", "stderr_offset"],
        ],
        ["Wait", { id, timeout: "-1s" }, ["timeout"]],
        ["Wait", { id, output: { pattern: "(" } }, ["output.pattern"]],
        ["Wait", { id, port: 65536 }, ["port"]],
        ["Cleanup", { olderThan: "-1s" }, ["older_than"]],
        ["Signal", { id, signal: "NOPE" }, ["signal"]],
        ["Cancel", { id, gracePeriod: "-1s" }, ["grace_period"]],
        ["CancelJobs", { gracePeriod: "-1s" }, ["grace_period"]],
        ["CancelJobs", {}, ["selection"]],
        ["SignalJobs", { selection: { ids: ["x"], all: true }, signal: "TERM" }, ["selection"]],
        ["RemoveJobs", { selection: { statuses: ["STATUS_UNSPECIFIED"] } }, ["selection.statuses"]],
        ["Start", { command: "true", lease: "0s" }, ["lease"]],
        ["RenewLease", { id: "", lease: "-1s" }, ["id", "lease"]],
        ["Restart", { gracePeriod: "-1s" }, ["id", "grace_period"]],
      ];
      for (const [method, request, fields, reason = "INVALID_ARGUMENT"] of wrong) {
        await fails(client, method, request, reason, { fields });
      }
      await kill(client, id);
    },
  },
  {
    name: "a record that cannot be read",
    async run(client, stage) {
      const jobId = stage.unreadableJob;
      await fails(client, "Get", { id: jobId }, "RECORD_UNREADABLE", { jobId });
      await fails(client, "Attach", { id: jobId }, "RECORD_UNREADABLE", { jobId });
      await fails(client, "Remove", { id: jobId }, "RECORD_UNREADABLE", { jobId });
      const page = await client.call("List", {});
      expect(page).toMatchObject({ unreadable: [{ id: jobId }], unreadableSize: 1 });
    },
  },
  {
    name: "a state directory that is not there",
    run: (client, stage) =>
      stage.withoutJobsDirectory(async () => {
        await fails(client, "Start", { command: "true" }, "STORAGE_UNAVAILABLE");
      }),
  },
  {
    name: "a full disk, then room again",
    needsRoot: true,
    async run(client, stage) {
      const { id } = await startLong(client);
      await stage.withFullDisk(async () => {
        await fails(client, "Start", { command: "true" }, "DISK_FULL");
        // Room is kept for it, which comes to the others' Starts too.
        await stage.together();
        expect((await kill(client, id)).status).toBe("STATUS_CANCELLED");
      });
      await kill(client, (await startLong(client)).id);
    },
  },
  {
    name: "no more processes",
    needsRoot: true,
    run: (client, stage) =>
      stage.withLimit("nproc", async () => {
        await fails(client, "Start", { command: "true" }, "PROCESS_LIMIT");
      }),
  },
  {
    name: "no more open files",
    needs: "lasting connection",
    needsRoot: true,
    async run(client, stage) {
      await client.call("List", { pageSize: 1 });
      await stage.withLimit("nofile", async () => {
        await fails(client, "Start", { command: "true" }, "TOO_MANY_OPEN_FILES");
      });
    },
  },
];
