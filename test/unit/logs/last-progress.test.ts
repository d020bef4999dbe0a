import { utimesSync } from "node:fs";
import { expect, test } from "vitest";
import { FileLogs } from "../../../src/logs/file-logs.js";
import { JobLogs } from "./job-logs.js";

const output = new FileLogs();

function percentIn(logs: JobLogs): Promise<number | undefined> {
  return output
    .open(logs.dir)
    .progress()
    .then((progress) => progress?.percent);
}

test("there is none in logs that are not there, empty, or tell of none", async () => {
  const logs = new JobLogs();
  expect(await output.open(logs.dir).progress()).toBeUndefined();
  logs.append("stdout", "");
  expect(await output.open(logs.dir).progress()).toBeUndefined();
  logs.append("stdout", "hello\nworld");
  expect(await output.open(logs.dir).progress()).toBeUndefined();
});

test("it is the last one told, however the line ended", async () => {
  const logs = new JobLogs();
  logs.append("stdout", "10%\n20%\nhello\n");
  expect(await output.open(logs.dir).progress()).toEqual({ percent: 20, unit: "", text: "20%" });
  logs.append("stdout", "30%\r40%\r");
  expect(await percentIn(logs)).toBe(40);
  logs.append("stdout", "50%");
  expect(await percentIn(logs)).toBe(50);
});

test("the log that was modified last counts, else the other", async () => {
  const logs = new JobLogs();
  logs.append("stdout", "10%\n");
  logs.append("stderr", "20%\n");
  utimesSync(logs.path("stdout"), 1000, 1000);
  utimesSync(logs.path("stderr"), 1001, 1001);
  expect(await percentIn(logs)).toBe(20);
  utimesSync(logs.path("stdout"), 1002, 1002);
  expect(await percentIn(logs)).toBe(10);
  logs.append("stderr", "hello\n".repeat(2000));
  utimesSync(logs.path("stderr"), 1003, 1003);
  expect(await percentIn(logs)).toBe(10);
});

test("only the last 8 KiB are looked at, and no line that begins before", async () => {
  const logs = new JobLogs();
  logs.append("stdout", `10%\n${"x".repeat(8190)}\n`);
  expect(await percentIn(logs)).toBeUndefined();
  const cut = new JobLogs();
  cut.append("stdout", `145%\n${"x".repeat(8192 - 5)}\n`); // "45%" is where it begins
  expect(await percentIn(cut)).toBeUndefined();
});
