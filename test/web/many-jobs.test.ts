import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { formatRecord } from "../../src/storage/job-record.js";
import { openPage } from "../helpers/browser-page.js";
import { chromiumIsMissing, sharedChromium } from "../helpers/chromium.js";
import { isHere } from "../helpers/foreign-parts.js";
import { someRecord } from "../helpers/records.js";
import { TestServer } from "../helpers/test-server.js";

const MEMORY = "/dev/shm";

describe.skipIf(!isHere(chromiumIsMissing()))("the page with many jobs, in Chromium", () => {
  const chromium = sharedChromium();

  test.each([
    [1000, 500],
    [10_000, 1500],
  ])(
    "shows the first of %i jobs soon, and scrolls through all",
    { timeout: 240_000 },
    async (count, firstRowsMs) => {
      const dir = roomyDir();
      const many = TestServer.prepare({ stateDir: join(dir, "state") });
      // None of them has a process: their files can go without a look at each.
      onTestFinished(async () => {
        await many.kill();
        rmSync(dir, { recursive: true });
      });
      writeJobs(many.stateDir, count);
      writeFileSync(join(many.stateDir, "jobs", "many000001", "state.json"), "{");
      await many.start();
      const { page, complaints } = await openPage(chromium.current, many);
      const { paintMs, rowsMs } = await bestOfLoads(page, many.baseUrl);
      console.log(`${count} jobs: first paint ${paintMs} ms, first rows ${rowsMs} ms`);
      const slowness = await slownessOf(page);
      expect(paintMs).toBeLessThan(300 * slowness);
      expect(rowsMs).toBeLessThan(firstRowsMs * slowness);
      await page.getByText(`all ${(count - 1).toLocaleString("en")}`).waitFor();
      await page.keyboard.press("End");
      await page.getByText("job-0").last().waitFor();
      expect(await page.getByRole("row").count()).toBeLessThan(80);
      await page.keyboard.press("/");
      await page.keyboard.type(`job-${count - 1}`);
      await page.getByText("all 1", { exact: true }).waitFor();
      expect(page.url()).toContain(`q=job-${count - 1}`);
      await page.getByText("The record of 1 job cannot be read").click();
      await page.getByText("many000001").waitFor();
      await page.getByRole("button", { name: "Remove…" }).click();
      await page.getByRole("button", { name: "Remove this job" }).click();
      await page.getByText("cannot be read").waitFor({ state: "detached" });
      expect(complaints).toEqual([]);
    },
  );
});

/** Makes a directory in memory where there is room: the page is measured here, and not the disk. */
function roomyDir(): string {
  const { bavail, bsize } = existsSync(MEMORY) ? statfsSync(MEMORY) : { bavail: 0, bsize: 0 };
  return mkdtempSync(join(bavail * bsize > 500e6 ? MEMORY : tmpdir(), "procman-test-"));
}

/** Opens the page some times, since other tests want the processor too. Returns the best. */
async function bestOfLoads(page: Page, url: string): Promise<{ paintMs: number; rowsMs: number }> {
  const loads: { paintMs: number; rowsMs: number }[] = [];
  for (let count = 0; count < 3; count += 1) {
    await page.goto(url);
    await page.getByRole("row").nth(5).waitFor();
    loads.push(
      await page.evaluate(() => ({
        paintMs: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity,
        rowsMs: performance.getEntriesByName("first-rows")[0]?.startTime ?? Infinity,
      })),
    );
  }
  const best = (values: number[]) => Math.round(Math.min(...values));
  return {
    paintMs: best(loads.map(({ paintMs }) => paintMs)),
    rowsMs: best(loads.map(({ rowsMs }) => rowsMs)),
  };
}

/** Returns how many times slower this machine is now than one with nothing else to do: 1 or more. */
async function slownessOf(page: Page): Promise<number> {
  const ms = await page.evaluate(() => {
    const startMs = performance.now();
    let value = 1;
    for (let count = 0; count < 6_000_000; count += 1) value = (value * 48_271) % 2_147_483_647;
    return value === 0 ? 0 : performance.now() - startMs;
  });
  return Math.max(1, ms / 40);
}

/** Puts jobs that have ended into a state directory. */
function writeJobs(stateDir: string, count: number): void {
  const startedTime = new Date(Date.now() - 3_600_000);
  for (let index = 0; index < count; index += 1) {
    const id = `many${String(index).padStart(6, "0")}`;
    const dir = join(stateDir, "jobs", id);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const record = someRecord(
      {
        status: "failed",
        pid: 1,
        startedTime,
        containment: "session",
        exitCode: 3,
        completedTime: new Date(startedTime.getTime() + index),
      },
      { sequence: index + 1, createdTime: startedTime, spec: { id, args: [`job-${index}`] } },
    );
    writeFileSync(join(dir, "state.json"), formatRecord(record), { mode: 0o600 });
  }
}
