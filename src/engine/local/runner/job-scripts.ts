import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromSystemError } from "../../../contract/errors.js";
import { replaceFile } from "../../../platform/durable-file.js";
import { hasCode } from "../../../platform/errno.js";
import { NATIVE_RUNNER } from "./native-runner.js";
import { SHELL } from "./runner-command.js";
import type { RunnerPrograms } from "./waiting-runner.js";

/** Where the package has the scripts. */
export const PACKAGE_SCRIPTS_DIR = fileURLToPath(new URL("..", import.meta.url));

/** All of them: they call each other, and look for each other in their own directory. */
const NAMES = [
  "runner.sh",
  "identify.sh",
  "input.sh",
  "feed.sh",
  "pipe.sh",
  "carry.sh",
  "terminal.sh",
];

/**
 * The shell scripts that run jobs, and the native runner where the package has one. An
 * upgrade may remove the package of a server that runs on. They are kept in memory, and
 * copied where they can be executed when they are gone.
 */
export class JobScripts {
  readonly #copiesDir: string | undefined;
  readonly #packageDir: string;
  readonly #hasNativeRunner: boolean;
  readonly #contents = new Map<string, Buffer>();
  /** Why they are not in memory. */
  #unread: unknown;
  #copy: string | undefined;
  /** The package's directory as it was when it had all of them. */
  #wholeSince: string | undefined;

  /** @param copiesDir is made when a copy is; undefined: the package stays where it is */
  constructor(copiesDir: string | undefined, packageDir = PACKAGE_SCRIPTS_DIR) {
    this.#copiesDir = copiesDir;
    this.#packageDir = packageDir;
    this.#hasNativeRunner = existsSync(join(packageDir, NATIVE_RUNNER));
    if (copiesDir === undefined) return;
    try {
      for (const name of this.#names()) {
        this.#contents.set(name, readFileSync(join(packageDir, name)));
      }
    } catch (error) {
      // It is no reason to leave jobs alone.
      this.#unread = error;
    }
  }

  /** @throws as `dir` */
  programs(): RunnerPrograms {
    const scriptsDir = this.dir();
    const nativeRunner = this.#hasNativeRunner ? join(scriptsDir, NATIVE_RUNNER) : undefined;
    return { shell: SHELL, scriptsDir, nativeRunner };
  }

  /**
   * Returns a directory that has all scripts.
   * @throws ProcmanError where they are gone and cannot be copied
   */
  dir(): string {
    const copiesDir = this.#copiesDir;
    if (copiesDir === undefined || this.#isPackageWhole()) return this.#packageDir;
    if (this.#unread !== undefined) {
      const attempt = "run procman's scripts, which were gone when this server was started";
      throw fromSystemError(this.#unread, attempt);
    }
    if (this.#copy === undefined || !this.#isWhole(this.#copy)) {
      this.#copy = this.#makeCopy(copiesDir);
    }
    return this.#copy;
  }

  #names(): readonly string[] {
    return this.#hasNativeRunner ? [...NAMES, NATIVE_RUNNER] : NAMES;
  }

  #isWhole(dir: string): boolean {
    return this.#names().every((name) => existsSync(join(dir, name)));
  }

  #isPackageWhole(): boolean {
    const version = directoryVersion(this.#packageDir);
    if (version === undefined) return false;
    if (version !== this.#wholeSince) {
      this.#wholeSince = this.#isWhole(this.#packageDir) ? version : undefined;
    }
    return version === this.#wholeSince;
  }

  #makeCopy(copiesDir: string): string {
    const hash = createHash("sha256");
    for (const content of this.#contents.values()) hash.update(content);
    // Jobs that run may execute a copy of another version.
    const dir = join(copiesDir, hash.digest("hex").slice(0, 16));
    try {
      for (const each of [copiesDir, dir]) makeDir(each);
      for (const [name, content] of this.#contents) {
        replaceFile(join(dir, name), content);
        if (name === NATIVE_RUNNER) chmodSync(join(dir, name), 0o700);
      }
      return dir;
    } catch (error) {
      throw fromSystemError(
        error,
        `copy procman's scripts to ${dir}, since those of ${this.#packageDir} are gone`,
      );
    }
  }
}

/** Returns what changes with each file that is deleted from a directory; undefined without one. */
function directoryVersion(dir: string): string | undefined {
  const stats = statSync(dir, { throwIfNoEntry: false, bigint: true });
  return stats && `${stats.dev}:${stats.ino}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

/** Not those above it: a state directory that was deleted is not made again. */
function makeDir(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}
