import { execFileSync } from "node:child_process";
import { describe, expect, test, vi } from "vitest";
import { resourceLimits, setSoftLimits } from "../../../src/platform/resource-limits.js";
import { shells } from "../../helpers/shells.js";
import { stranger } from "../../helpers/strangers.js";

/** What a shell in which they were set prints. */
function set(shell: string, limits: Parameters<typeof setSoftLimits>[0], print: string): string {
  return execFileSync(shell, ["-c", `${setSoftLimits(limits)} || exit\n${print}`], {
    encoding: "utf8",
  });
}

describe.each(shells())("%s", (_program, shell) => {
  test("sets limits as they are meant, the one that it needs itself last", () => {
    const limits = { nofile: 3, fsize: 1024, core: 0, cpu: Number.POSITIVE_INFINITY };
    const print = "ulimit -S -n; ulimit -S -f; ulimit -S -c; ulimit -S -t";
    expect(set(shell, limits, print)).toBe("3\n2\n0\nunlimited\n");
  });

  test("fails where one cannot be set", () => {
    const script = `ulimit -n 50; ${setSoftLimits({ core: 0, nofile: 60 })} || exit 9; exit 8`;
    expect(() => execFileSync(shell, ["-c", script], { stdio: "ignore" })).toThrow(
      expect.objectContaining({ status: 9 }),
    );
  });
});

describe.skipIf(process.platform !== "linux")("limits", () => {
  test("of this process and of another are the kernel's", async () => {
    const { core, cpu } = resourceLimits();
    expect(core?.hard).toBeGreaterThanOrEqual(core?.soft as number);
    expect(cpu?.soft).toBe(Number.POSITIVE_INFINITY);
    const { pid } = await stranger("sh", ["-c", "ulimit -S -n 77; exec sleep 1000"]);
    await vi.waitFor(() => expect(resourceLimits(pid).nofile?.soft).toBe(77), 20_000);
    expect(resourceLimits(2 ** 30)).toEqual({});
  });

  test("are asked of a shell where there is no /proc, with the same answer", () => {
    const here = resourceLimits();
    const platform = vi.spyOn(process, "platform", "get").mockReturnValue("darwin");
    try {
      expect(resourceLimits()).toEqual(here);
      expect(resourceLimits(process.pid)).toEqual({});
    } finally {
      platform.mockRestore();
    }
  });
});
