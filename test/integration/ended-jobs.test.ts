import { existsSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { blockUntil } from "../helpers/block-until.js";
import { errorReason } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { endProcess, isRunning } from "../helpers/strangers.js";
import { TestManager } from "../helpers/test-manager.js";

/**
 * A job that was cancelled and has ended, but for a child that does not listen: it
 * has an hour of grace.
 */
async function cancelledJobWithChild() {
  const at = await TestManager.open();
  const { id, firstLine } = await at.startReady(
    "(trap '' TERM; echo $BASHPID; exec sleep 1000) & exec sleep 1000",
  );
  at.withoutCgroup(id);
  const child = Number(firstLine);
  const endChild = () => endProcess(child);
  onTestFinished(endChild);
  const cancelling = at.manager.cancel(id, { gracePeriodMs: 3_600_000 }).catch(() => undefined);
  expect(await at.manager.wait(id)).toMatchObject({ status: "cancelled", signal: "SIGTERM" });
  await eventually("the record", () => at.record(id)["status"] === "cancelled");
  expect(isRunning(child)).toBe(true);
  return { at, id, child, endChild, cancelling };
}

describe.skipIf(process.platform !== "linux")(
  "an ended job whose processes are being ended",
  () => {
    test("is not removed before they are, neither by Remove nor by Cleanup", async () => {
      const { at, id, endChild, cancelling } = await cancelledJobWithChild();
      expect(await errorReason(at.manager.remove(id))).toBe("JOB_RUNNING");
      const { id: later } = await at.manager.start({ command: "true" });
      await at.manager.wait(later);
      expect(await at.manager.cleanup({ olderThanMs: 0 })).toEqual([later]);
      expect(existsSync(at.path(id, "state.json"))).toBe(true);
      await endChild();
      expect(await cancelling).toMatchObject({ id, status: "cancelled" });
      await at.manager.remove(id);
      expect(existsSync(at.path(id))).toBe(false);
    });

    test("is not removed by the next server either", async () => {
      const { at, id, child, endChild } = await cancelledJobWithChild();
      await at.close();
      expect(isRunning(child)).toBe(true);
      await at.open();
      expect(await errorReason(at.manager.remove(id))).toBe("JOB_RUNNING");
      await endChild();
      await eventually("the stop's end", () => !existsSync(at.path(id, "stopping")));
      await eventually("to be let go", () => at.manager.remove(id).then(() => true));
    });

    test("has them ended by the next server, though it is on record as ended", async () => {
      const { at, id, child } = await cancelledJobWithChild();
      await at.close();
      const stop = at.record(id)["stop"] as object;
      at.changeRecord(id, { stop: { ...stop, gracePeriodMs: 0 } });
      await at.open();
      await eventually("the child's end", () => !isRunning(child));
      await eventually("the stop's end", () => !existsSync(at.path(id, "stopping")));
      expect(await at.manager.get(id)).toMatchObject({ status: "cancelled", signal: "SIGTERM" });
    });

    test("keeps them for as long as they were given, also under the next server", async () => {
      const { at, id, child } = await cancelledJobWithChild();
      await at.close();
      await at.open();
      // Nothing is ended in the first rounds.
      for (let round = 0; round < 3; round += 1) {
        expect(await at.manager.refresh()).toEqual([]);
        expect(isRunning(child)).toBe(true);
      }
      expect(existsSync(at.path(id, "stopping"))).toBe(true);
    });
  },
);

describe.skipIf(process.platform !== "linux")(
  "a command that has ended, which nobody has seen yet",
  () => {
    /** Ended, with its exit record made, before this process could hear of it. */
    async function endedUnseen(script: string) {
      const at = await TestManager.open({ pollIntervalMs: 60_000 });
      // One to which nothing happens.
      await at.manager.start({ command: "sleep", args: ["1000"] });
      const { id } = await at.startReady(`echo ready; until [ -e go ]; do :; done; ${script}`, {
        workDir: at.stateDir,
      });
      at.write("..", "go", "");
      const [, runner] = at.read(id, "process").split("\n") as [string, string];
      blockUntil("the exit record", () => at.read(id, "exit") !== "");
      blockUntil("the runner's end", () => !isRunning(Number.parseInt(runner, 10)));
      return { at, id };
    }

    test("is not cancelled", async () => {
      const { at, id } = await endedUnseen("exit 0");
      expect(await errorReason(at.manager.cancel(id))).toBe("JOB_NOT_RUNNING");
      expect(at.record(id)).toMatchObject({ status: "completed", exitCode: 0 });
      expect(at.record(id)).not.toHaveProperty("stop");
    });

    test("is not signalled", async () => {
      const { at, id } = await endedUnseen("exit 0");
      expect(await errorReason(at.manager.signal(id, "KILL"))).toBe("JOB_NOT_RUNNING");
      expect(at.record(id)).toMatchObject({ status: "completed", exitCode: 0 });
    });

    test("is told of by Refresh, once", async () => {
      const { at, id } = await endedUnseen("exit 7");
      const [job, ...others] = await at.manager.refresh();
      expect(job).toMatchObject({ id, status: "failed", exitCode: 7, stdoutBytes: 6 });
      expect(others).toEqual([]);
      expect(at.record(id)).toMatchObject({ status: "failed", exitCode: 7 });
      expect(await at.manager.refresh()).toEqual([]);
    });

    test("is removed at once", async () => {
      const { at, id } = await endedUnseen("exit 0");
      await at.manager.remove(id);
      expect(existsSync(at.path(id))).toBe(false);
    });
  },
);
