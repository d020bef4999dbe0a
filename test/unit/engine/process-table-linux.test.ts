import { spawn } from "node:child_process";
import { expect, onTestFinished, test } from "vitest";
import { linuxProcessTable } from "../../../src/engine/local/process/process-table-linux.js";
import { eventually } from "../../helpers/eventually.js";

/** A line of /proc/<pid>/stat, see proc_pid_stat(5). */
const stat = (name: string, state = "S") =>
  `42 (${name}) ${state} 1 40 39 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 123456 1000 50 184467`;

test.each(["sh", "a b", "x) S 1 2 3 (y", "(", ")", "a\nb", ""])(
  "a process named %j is read from its line",
  (name) => {
    expect(linuxProcessTable.parseIdentity(stat(name))).toEqual({
      pid: 42,
      groupId: 40,
      sessionId: 39,
      startTime: "123456",
      zombie: false,
    });
  },
);

test.each(["Z", "X"])("in state %s it has ended", (state) => {
  expect(linuxProcessTable.parseIdentity(`${stat("sh", state)}\n`)).toMatchObject({ zombie: true });
});

test("a line that is cut short names nobody", () => {
  const whole = stat("sh");
  const end = whole.indexOf(" 123456");
  for (let length = 0; length <= end; length += 1) {
    expect(linuxProcessTable.parseIdentity(whole.slice(0, length))).toBeUndefined();
  }
  expect(linuxProcessTable.parseIdentity(`x${whole}`)).toBeUndefined();
});

test.runIf(process.platform === "linux")("a process is found, with its age", async () => {
  const mark = linuxProcessTable.mark();
  const argument = `for-${process.pid}-${Date.now()}`;
  const child = spawn("sh", ["-c", "read line", argument], { stdio: ["pipe", "ignore", "ignore"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const pid = child.pid as number;
  await eventually("its arguments", () => linuxProcessTable.hasArgument(argument));
  expect(linuxProcessTable.hasArgument(argument.slice(1))).toBe(false);

  const own = linuxProcessTable.lookup(process.pid);
  const info = linuxProcessTable.lookup(pid);
  expect(info).toMatchObject({
    pid,
    groupId: own?.groupId,
    sessionId: own?.sessionId,
    zombie: false,
  });
  expect(linuxProcessTable.all().map((each) => each.pid)).toContain(pid);
  const { startTime } = info as { startTime: string };
  expect(linuxProcessTable.startedBy(startTime, startTime)).toBe(true);
  expect(linuxProcessTable.startedBy(startTime, String(Number(startTime) - 1))).toBe(false);
  expect(Number(startTime)).toBeGreaterThanOrEqual(Number(mark));
  const ageMs = linuxProcessTable.ageMs(startTime);
  expect(ageMs).toBeGreaterThanOrEqual(0);
  expect(ageMs).toBeLessThan(60_000);
  const hour = String(Number(linuxProcessTable.mark()) - 360_000);
  expect(linuxProcessTable.ageMs(hour) / 3_600_000).toBeCloseTo(1, 2);
  expect(linuxProcessTable.ageMs(String(Number(mark) + 360_000))).toBe(0);

  child.kill("SIGKILL");
  await eventually("its end", () => linuxProcessTable.lookup(pid) === undefined);
  expect(linuxProcessTable.bootId()).toMatch(/^[0-9a-f-]{36}$/);
});

test.runIf(process.platform === "linux")("a process is measured, with its children's time", () => {
  // Some time of its own, and of a child that it has waited for.
  const untilMs = process.cpuUsage().user / 1000 + 60;
  while (process.cpuUsage().user / 1000 < untilMs);
  const { user, system } = process.cpuUsage();
  const [self] = [...linuxProcessTable.measured([process.pid])];
  expect(self).toMatchObject({ pid: process.pid, zombie: false });
  expect(self!.cpuTimeMs).toBeGreaterThan((user + system) / 1000 - 50);
  const residentBytes = process.memoryUsage.rss();
  expect(self!.memoryBytes / residentBytes).toBeGreaterThan(0.5);
  expect(self!.memoryBytes / residentBytes).toBeLessThan(2);
  expect([...linuxProcessTable.measured()].map(({ pid }) => pid)).toContain(process.pid);
});

test.runIf(process.platform === "linux")(
  "what a process has written is known, and of none nothing",
  () => {
    expect(linuxProcessTable.diskUsage(process.pid)).toEqual({
      readBytes: expect.any(Number),
      writtenBytes: expect.any(Number),
    });
    expect(linuxProcessTable.diskUsage(2 ** 22 + 1)).toBeUndefined();
    expect([...linuxProcessTable.measured([2 ** 22 + 1])]).toEqual([]);
  },
);
