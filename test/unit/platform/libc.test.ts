import { execFileSync } from "node:child_process";
import { closeSync, openSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadLibc } from "../../../src/platform/libc.js";
import { tempDir } from "../../helpers/temp-dir.js";

const libc = await loadLibc();

function fileOf(content: string, flags: string): { path: string; fd: number } {
  const path = join(tempDir(), "file");
  writeFileSync(path, content);
  const fd = openSync(path, flags);
  onTestFinished(() => closeSync(fd));
  return { path, fd };
}

describe.runIf(process.platform === "linux")("on Linux", () => {
  test("preadv2 reads from an offset, and says how much there was", () => {
    const { fd } = fileOf("0123456789", "r");
    const into = Buffer.alloc(4, ".");
    expect(libc.preadv2?.(fd, into, 2, 0)).toBe(4);
    expect(into.toString()).toBe("2345");
    expect(libc.preadv2?.(fd, into, 8, 0)).toBe(2);
    expect(into.toString()).toBe("8945");
    expect(libc.preadv2?.(fd, into, 10, 0)).toBe(0);
    expect(libc.preadv2?.(-1, into, 0, 0)).toBe(-1);
  });

  test("setWindowSize says why it could not", () => {
    const { fd } = fileOf("", "r");
    expect(libc.setWindowSize?.(fd, 24, 80)).toBe(constants.errno.ENOTTY);
    expect(libc.setWindowSize?.(-1, 24, 80)).toBe(constants.errno.EBADF);
  });

  test("fallocate takes the mode and the range, also beyond 4 GiB", async () => {
    const { fd, path } = fileOf("", "r+");
    execFileSync("truncate", ["-s", "6G", path]);
    const offset = 5 * 1024 ** 3;
    expect(await libc.fallocate?.(fd, 0, offset, 8192)).toBe(0);
    const { size, blocks } = statSync(path);
    expect({ size, allocated: blocks * 512 }).toEqual({ size: 6 * 1024 ** 3, allocated: 8192 });
  });

  test("fallocate says why it could not", async () => {
    const { fd } = fileOf("content", "r");
    expect(await libc.fallocate?.(fd, 0, 0, 1)).toBe(constants.errno.EBADF);
    expect(await libc.fallocate?.(fd, 0, 0, -1)).toBe(constants.errno.EINVAL);
  });
});

test.runIf(process.platform !== "linux")("elsewhere there is none of it", () => {
  expect(Object.values(libc).filter((each) => each !== undefined)).toEqual([]);
});
