import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import { isRoot } from "../../helpers/machine.js";
import { shells } from "../../helpers/shells.js";
import { tempDir } from "../../helpers/temp-dir.js";

const FEED = join(import.meta.dirname, "../../../src/engine/local/feed.sh");

/** Nobody else's, so that a limit on its processes is one on those of a test. */
const LIMITED_USER = 54_321;

/** User and system time: see proc_pid_stat(5). */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

describe.each(shells())("%s", (_program, shell) => {
  test.skipIf(!isRoot())(
    "a feeder that cannot fork begins again, where it was, and the input has not ended",
    async () => {
      const dir = tempDir();
      const path = (name: string) => join(dir, name);
      for (const name of ["stdin.log", "output", "complaints"]) writeFileSync(path(name), "");
      execFileSync("mkfifo", [path("stdin.bell")]);
      // Where that user can read them.
      copyFileSync(FEED, path("feed.sh"));
      symlinkSync(realpathSync(shell), path("sh"));
      execFileSync("chown", ["-R", "-h", `${LIMITED_USER}`, dir]);
      const files = [
        openSync(path("output"), "a"),
        openSync(path("complaints"), "a"),
        openSync(path("stdin.bell"), "r+"),
        openSync(path("stdin.log"), "r"),
      ] as const;
      const bell = files[2];
      const feeder = spawn(path("sh"), [path("feed.sh"), dir, path("sh")], {
        uid: LIMITED_USER,
        stdio: ["ignore", ...files],
      });
      onTestFinished(() => void feeder.kill("SIGKILL"));
      await once(feeder, "spawn");
      const limit = (processes: number) =>
        execFileSync("prlimit", ["--pid", `${feeder.pid}`, `--nproc=${processes}:`], {
          uid: LIMITED_USER,
        });
      const add = (data: string) => {
        writeFileSync(path("stdin.log"), data, { flag: "a" });
        writeSync(bell, "\n");
      };
      const outputIs = (text: string) =>
        eventually("the output", () => readFileSync(path("output"), "utf8") === text);
      add("a");
      await outputIs("a");
      limit(1);
      add("b");
      await eventually("a complaint", () => statSync(path("complaints")).size > 0);
      expect(readFileSync(path("output"), "utf8")).toBe("a");
      const ticks = cpuTicks(feeder.pid as number);
      const { size } = statSync(path("complaints"));
      const from = performance.now();
      await eventually(
        "other tries, for a second",
        () => statSync(path("complaints")).size > size && performance.now() - from > 1000,
      );
      // It waits between them: without that it would be 100 a second.
      expect(cpuTicks(feeder.pid as number) - ticks).toBeLessThan(20);
      limit(100);
      await outputIs("ab");
      add("c");
      writeFileSync(path("stdin.closed"), "");
      writeSync(bell, "\n");
      await outputIs("abc");
      if (feeder.exitCode === null) await once(feeder, "exit");
      expect(feeder.exitCode).toBe(0);
      for (const file of files) closeSync(file);
    },
  );
});
