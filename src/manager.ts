import { resolve } from "node:path";
import type { ProcmanError } from "./contract/errors.js";
import { type Log, silentLog } from "./contract/log.js";
import { JobManager } from "./core/job-manager.js";
import { validDefaultLogLimit } from "./core/validate.js";
import { LocalEngine } from "./engine/local/local-engine.js";
import { processIdentifier } from "./engine/local/process/processes.js";
import { FileLogs } from "./logs/file-logs.js";
import { FileJobStore } from "./storage/file-job-store.js";
import { firstOffsetFiles } from "./storage/first-offset-files.js";
import { StateDirGuard } from "./storage/state-dir-guard.js";
import { truncationFiles } from "./storage/truncation-files.js";
import { makeStateDir } from "./storage/state-dir.js";
import { lockStateDir } from "./storage/state-dir-lock.js";

export interface ManagerOptions {
  /** Holds all state. Created, with access for its owner only, where it is missing. */
  readonly stateDir: string;
  /** The age from which `cleanup` removes ended jobs. Default 24 h. */
  readonly cleanupAgeMs?: number;
  /** How often to poll for what the kernel does not report. Default 1000. */
  readonly pollIntervalMs?: number;
  /** How much of the end of each log to keep, for jobs that ask for no limit. Default: all. */
  readonly logLimitBytes?: number;
  /**
   * Called when the state directory is no longer this manager's: deleted, moved away for
   * more than 20 s, or locked by another process. The manager is closed then; jobs go on.
   */
  readonly onLost?: (error: ProcmanError) => void;
  /** Receives log entries; a pino logger fits. Default: none are written. */
  readonly log?: Log;
}

const DEFAULT_CLEANUP_AGE_MS = 24 * 60 * 60 * 1000;
const DEFAULT_POLL_INTERVAL_MS = 1000;

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
   * INVALID_ARGUMENT for an impossible log limit
   */
  async open(options: ManagerOptions): Promise<Manager> {
    const { pollIntervalMs = DEFAULT_POLL_INTERVAL_MS, log = silentLog } = options;
    const defaultLogLimitBytes = validDefaultLogLimit(options.logLimitBytes);
    const stateDir = resolve(options.stateDir);
    makeStateDir(stateDir);
    const lock = await lockStateDir(stateDir, processIdentifier);
    let guard: StateDirGuard | undefined;
    try {
      const engine = new LocalEngine({ pollIntervalMs });
      const store = await FileJobStore.open(stateDir);
      const manager = await JobManager.open({
        engine,
        store,
        logs: new FileLogs({
          pollIntervalMs,
          firstOffsets: firstOffsetFiles,
          truncations: truncationFiles,
          log,
        }),
        log,
        cleanupAgeMs: options.cleanupAgeMs ?? DEFAULT_CLEANUP_AGE_MS,
        pollIntervalMs,
        defaultLogLimitBytes,
        defaultWorkDir: process.cwd(),
        onClosed: async () => {
          await guard?.stop();
          await store.close();
          await engine.close();
          await lock.release();
        },
      });
      const onLost = (error: ProcmanError) => {
        log.error({ err: error }, "the state directory is lost; its jobs go on");
        void manager.close();
        options.onLost?.(error);
      };
      guard = new StateDirGuard({ stateDir, lock, log, onLost });
      return manager;
    } catch (error) {
      await lock.release();
      throw error;
    }
  },
};
