import { type ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { ensureServer } from "../../../src/cli/ensure-server.js";
import { spawnNeutral } from "../../../src/cli/spawn-neutral.js";
import { tempDir } from "../../helpers/temp-dir.js";

vi.mock("../../../src/cli/spawn-neutral.js");

test("a server that ends when it has made its socket is told of, with the end of its log", async () => {
  const stateDir = tempDir();
  const child = Object.assign(new EventEmitter(), {
    exitCode: null as number | null,
    signalCode: null,
    unref: () => {},
  });
  vi.mocked(spawnNeutral).mockImplementation((_words, { output }) => {
    writeSync(output, "the reason\n");
    return { child: child as unknown as ChildProcess, niceness: 0 };
  });
  const end = () => {
    if (child.exitCode !== null) return;
    // Nobody listens on what is there.
    writeFileSync(join(stateDir, "procman.sock"), "");
    child.exitCode = 1;
    child.emit("exit", 1, null);
  };
  await expect(ensureServer(stateDir, {}, end)).rejects.toThrow(
    /^cannot start a server for .*: it ended at once; .*server\.log ends with: the reason$/,
  );
});
