import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { eventually } from "../../helpers/eventually.js";
import { someRecord } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

const never = new AbortController().signal;

test.each(["", "not a record\n"])(
  "a record that became %j is that which was read of it",
  async (text) => {
    const dir = new JobDir(join(tempDir(), "job"));
    mkdirSync(dir.path);
    for (const stream of ["stdout", "stderr"] as const) writeFileSync(dir.log(stream), "");
    const engine = new LocalEngine({ pollIntervalMs: 5 });
    onTestFinished(() => engine.close());
    const { spec } = someRecord();
    const wanted = { ...spec, command: "sleep", args: ["1000"], workDir: "/" };
    const { process, started } = await (await engine.prepare(wanted)).start(dir);
    writeFileSync(dir.process, text);
    expect(await process.inspect()).toMatchObject({ kind: "alive", pid: started.pid });
    await process.stop(0, never);
    await eventually("its end", async () => (await process.inspect()).kind === "exited");
    // Nobody knows who it was, but how it ended.
    const later = await engine.open(dir).inspect();
    expect(later).toMatchObject({ kind: "exited", signal: "SIGKILL" });
    expect(later).not.toHaveProperty("pid");
    process.release();
  },
);

test("a process record that became a directory ends nobody, and the job can still be ended", async () => {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path);
  for (const stream of ["stdout", "stderr"] as const) writeFileSync(dir.log(stream), "");
  const engine = new LocalEngine({ pollIntervalMs: 5 });
  const { spec } = someRecord();
  const script = "trap 'echo bye' USR1; echo ready; while :; do sleep 0.02; done";
  const wanted = { ...spec, command: "sh", args: ["-c", script], workDir: "/" };
  const { process } = await (await engine.prepare(wanted)).start(dir);
  onTestFinished(() => process.stop(0, never));
  await eventually("its word", () => readFileSync(dir.log("stdout"), "utf8") === "ready\n");
  rmSync(dir.process);
  mkdirSync(dir.process);
  // An error in a timer of the watch's would end this process.
  let checks = 0;
  const stopWatching = process.onEnd(() => (checks += 1));
  await eventually("a full check", () => checks > 0);
  stopWatching();
  expect(await process.signal("USR1")).toBe(true);
  await eventually("its answer", () => readFileSync(dir.log("stdout"), "utf8").includes("bye"));
  await process.stop(0, never);
  process.release();
});
