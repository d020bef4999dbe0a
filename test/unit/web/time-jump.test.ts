import { expect, test, vi } from "vitest";
import type { LogState } from "../../../src/web/state/log-state.js";
import { TimeJump } from "../../../src/web/state/time-jump.js";

test("a time that is typed is gone to, and it is said where that leads nowhere", async () => {
  const goToTime = vi.fn<LogState["goToTime"]>();
  const jump = new TimeJump({ goToTime });
  const now = new Date(2026, 10, 29, 16, 30);
  jump.text.value = "soon";
  expect(await jump.go(now)).toBe(false);
  expect(jump.said.value).toContain("10m ago");
  expect(goToTime).not.toHaveBeenCalled();

  jump.text.value = "14:30";
  goToTime.mockResolvedValueOnce(true);
  expect(await jump.go(now)).toBe(true);
  expect(goToTime).toHaveBeenCalledWith(new Date(2026, 10, 29, 14, 30));
  expect(jump.said.value).toBe("");

  goToTime.mockResolvedValueOnce(false);
  expect(await jump.go(now)).toBe(false);
  expect(jump.said.value).toBe("Nothing was written since 2026-11-29 14:30:00.");
});
