import { join } from "node:path";
import type { ProcmanError } from "./contract/errors.js";
import { JobManager } from "./core/job-manager.js";
import { LocalEngine } from "./engine/local/local-engine.js";
import { takeOverBareProcess } from "./engine/local/runner/bare-process.js";
import { disownJobs } from "./engine/local/runner/disown-jobs.js";
import { processIdentifier, processTable } from "./engine/local/process/processes.js";
import { FileLogs } from "./logs/file-logs.js";
import { type ManagerOptions, validManagerOptions } from "./manager-options.js";
import { keepReserve } from "./storage/disk-reserve.js";
import { FileJobStore, readGoExit } from "./storage/file-job-store.js";
import { firstOffsetFiles } from "./storage/first-offset-files.js";
import { outputTimesFiles } from "./storage/output-times-files.js";
import { StateDirGuard } from "./storage/state-dir-guard.js";
import { truncationFiles } from "./storage/truncation-files.js";
import { settleInPlace } from "./storage/state-dir-place.js";
import { makeStateDir } from "./storage/state-dir.js";
import { lockStateDir } from "./storage/state-dir-lock.js";

export type { ManagerOptions } from "./manager-options.js";

/**
 * Manages the jobs of one state directory from within this process. Jobs outlive it:
 * they go on after `close` or a crash, and the next manager of the same directory
 * takes them over.
 */
export type Manager = JobManager;

export const Manager = {
  /**
   * @throws ProcmanError STORAGE_UNAVAILABLE where another process manages that
   * directory (the message names its pid), and where it belongs to another user;
   * INVALID_ARGUMENT with a violation for each option that is wrong
   */
  async open(options?: ManagerOptions): Promise<Manager> {
    const { stateDir, pollIntervalMs, log, cleanupAgeMs, logLimitBytes, ...given } =
      validManagerOptions(options);
    const { retainAgeMs: ageMs, retainBytes: bytes } = given;
    const isRetaining = ageMs !== undefined || bytes !== undefined;
    makeStateDir(stateDir);
    const lock = await lockStateDir(stateDir, processIdentifier);
    const stopKeepingReserve = keepReserve(stateDir);
    let guard: StateDirGuard | undefined;
    let store: FileJobStore | undefined;
    try {
      const original = await settleInPlace(stateDir, processTable().bootId(), disownJobs);
      if (original !== undefined) {
        log.warn({ original }, "this state directory is a copy; what ran is the original's");
      }
      const engine = new LocalEngine({
        pollIntervalMs,
        scriptCopiesDir: join(stateDir, "scripts"),
        bareExit: readGoExit,
      });
      store = await FileJobStore.open(stateDir, {
        takeOver: takeOverBareProcess,
        durability: { bootId: processTable().bootId(), log },
      });
      const manager = await JobManager.open({
        engine,
        store,
        logs: new FileLogs({
          pollIntervalMs,
          firstOffsets: firstOffsetFiles,
          truncations: truncationFiles,
          outputTimes: outputTimesFiles,
          log,
        }),
        log,
        cleanupAgeMs,
        ...(isRetaining ? { retention: { ageMs, bytes } } : {}),
        pollIntervalMs,
        defaultLogLimitBytes: logLimitBytes,
        defaultWorkDir: process.cwd(),
        onClosed: async () => {
          stopKeepingReserve();
          await guard?.stop();
          await store?.close();
          await engine.close();
          await lock.release();
        },
      });
      engine.sweep();
      const onLost = (error: ProcmanError) => {
        log.error({ err: error }, "the state directory is lost; its jobs go on");
        void manager.close();
        given.onLost?.(error);
      };
      guard = new StateDirGuard({ stateDir, lock, log, onLost });
      return manager;
    } catch (error) {
      stopKeepingReserve();
      // From the release on, its files may be another process's.
      await store?.close();
      await lock.release();
      throw error;
    }
  },
};
