import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { OutputEnds } from "../../gen/procman/v1/procman_pb.js";
import { openPage, pageLink, shownOutput, watchComplaints } from "../helpers/browser-page.js";
import { chromiumIsMissing, sharedChromium } from "../helpers/chromium.js";
import { eventually } from "../helpers/eventually.js";
import { isHere } from "../helpers/foreign-parts.js";
import { freePort } from "../helpers/free-port.js";
import { procman } from "../helpers/procman-command.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const port = await freePort();

describe.skipIf(!isHere(chromiumIsMissing()))("the page, in Chromium", () => {
  const chromium = sharedChromium();
  const server = TestServer.shared({ args: ["--listen", `127.0.0.1:${port}`] });

  const open = (options?: Parameters<typeof openPage>[2]) =>
    openPage(chromium.current, server, options);

  /** Starts a shell script; returns the job's id. */
  async function start(script: string, more: object = {}): Promise<string> {
    const { job } = await server.client.start({ command: "sh", args: ["-c", script], ...more });
    return job?.id ?? "";
  }

  async function statusOf(id: string): Promise<number | undefined> {
    return (await server.client.get({ id })).job?.status;
  }

  const output = (page: Page, text: string) =>
    eventually(`${JSON.stringify(text)} in the output`, async () =>
      (await shownOutput(page)).includes(text),
    );

  test("lets in whoever has a link, once, and leaves no secret in the address", async () => {
    const context = await chromium.current.newContext();
    const page = await context.newPage();
    const complaints = watchComplaints(page);
    const link = await pageLink(server);
    await page.goto(link);
    await page.getByRole("grid", { name: "Jobs" }).waitFor();
    expect(page.url()).toBe(`${server.baseUrl}/`);
    const [cookie] = await context.cookies(server.baseUrl);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/" });
    expect(await page.evaluate("document.cookie")).toBe("");
    await page.goBack();
    expect(page.url()).not.toContain("link=");

    const other = await chromium.current.newContext();
    const secondPage = await other.newPage();
    await secondPage.goto(link);
    await secondPage.getByText("this link was used already").waitFor();
    await secondPage.getByText("procman ui", { exact: true }).waitFor();
    await secondPage.goto(`${server.baseUrl}/#link=wrong`);
    await secondPage.reload();
    await secondPage.getByRole("alert").waitFor();
    expect(complaints).toEqual([]);
    expect(server.log).not.toContain(link.slice(link.indexOf("=") + 1));
    await other.close();
    await context.close();
  });

  test("starts a job, follows its progress and cancels it, with the keyboard alone", async () => {
    const { page, complaints } = await open();
    const go = join(tempDir(), "go");
    await page.getByRole("grid", { name: "Jobs" }).waitFor();
    await page.keyboard.press("n");
    await page.getByLabel("Command line").waitFor();
    const bar = "for i in 10 42; do printf '\\rcopied %d%%' $i; sleep 0.2; done";
    await page.keyboard.type(`sh -c "${bar.replaceAll("$", "\\$")}; exec cat ${go}*; sleep 600`);
    // A quote that has no end is said before anything is run.
    await page.getByText("has no end").first().waitFor();
    await page.keyboard.type(`; sleep 600"`);
    expect(await page.locator(".words code").count()).toBe(3);
    await page.keyboard.press("Control+Enter");
    await output(page, "cat: ");
    await page.getByText("It failed with exit code 1").waitFor();

    const id = await start(`${bar}; sleep 600`);
    await page.keyboard.press("Escape");
    await page.getByRole("row", { name: /42%/ }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await output(page, "copied 42%");
    expect(page.url()).toContain(`job=${id}`);
    await page.keyboard.press("c");
    await page.getByRole("dialog").getByText("sleep 600").waitFor();
    await page.keyboard.press("Enter");
    await page.getByText("It was cancelled").waitFor();
    expect(await statusOf(id)).toBe(5);
    await page.keyboard.press("Escape");
    await page.getByRole("grid", { name: "Jobs" }).waitFor();
    expect(complaints).toEqual([]);
  });

  test("goes on at the right byte when the server is restarted", async () => {
    const { page } = await open();
    const go = join(tempDir(), "go");
    const id = await start(
      `seq 1 500; while [ ! -e ${go} ]; do sleep 0.05; done; seq 501 1000; sleep 600`,
    );
    const second = await page.context().newPage();
    for (const each of [page, second]) {
      await each.goto(`${server.baseUrl}/?job=${id}`);
      await output(each, "\n500");
    }
    await server.kill("SIGKILL");
    await page.getByText("The server does not answer").waitFor();
    await server.start();
    writeFileSync(go, "");
    for (const each of [page, second]) {
      await output(each, "\n1000");
      const rows = (await shownOutput(each)).split("\n").map(Number);
      const steps = rows.slice(1).map((row, index) => row - (rows[index] ?? 0));
      expect(new Set(steps)).toEqual(new Set([1]));
    }
    await page.getByText("The server does not answer").waitFor({ state: "detached" });
    await server.client.cancel({ id });
  });

  test("shows output that would break out as what it is", async () => {
    const { page, context, complaints } = await open();
    const opened: string[] = [];
    context.on("page", (other) => opened.push(other.url()));
    const hostile = [
      "<img src=x onerror=alert(1)><script>alert(2)</script>",
      "\x1b]0;PWNED\x07\x1b]2;PWNED\x07",
      "\x1b]8;;http://evil.example/\x07click me\x1b]8;;\x07",
      "\x1b]52;c;UFdORUQ=\x07\x1b[6n\x1b[c\x1bP$q q\x1b\\",
      "\u202etxt.exe\u202c",
      "\x1b[38;2;250;10;10mtrue colour\x1b[0m",
      "x".repeat(300_000),
      "the end",
    ].join("\n");
    const file = join(tempDir(), "hostile");
    writeFileSync(file, hostile);
    const name = "hostile";
    const label = "\u202e<b>evil</b>\nprocman";
    const id = await start(`cat ${file}`, { name, labels: { [label]: "<i>x</i>\x1b[31m" } });
    await page.getByText("U+202E").first().waitFor();
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "the end");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await output(page, "<img src=x onerror=alert(1)>");
    const text = await shownOutput(page);
    expect(text).toContain("click me");
    expect(await page.title()).toBe("hostile · procman");
    const colour = await page.evaluate(() =>
      [...document.querySelectorAll(".xterm-rows span")]
        .filter((span) => span.textContent?.includes("true"))
        .map((span) => getComputedStyle(span).color),
    );
    expect(colour[0]).toMatch(/^rgb\(2\d\d, /);
    await page.locator(".xterm-rows").getByText("click me").click({ force: true });
    expect(opened).toEqual([]);
    expect(await page.locator("b:has-text('evil'), img").count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("is a terminal to a job that has one", async () => {
    const { page } = await open();
    const script = 'printf "name? "; read name; echo "hello $name"; stty size; sleep 600';
    const id = await start(script, { pty: true, stdin: true });
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "name?");
    await page.locator(".screen > .terminal").click();
    await page.keyboard.type("Ada\n");
    await output(page, "hello Ada");
    await eventually("the terminal's size", async () => {
      const rows = await page.locator(".xterm-rows > div").count();
      return new RegExp(`^${rows} \\d+$`, "m").test(await shownOutput(page));
    });
    await page.keyboard.press("F6");
    await page.keyboard.press("c");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await server.client.cancel({ id, gracePeriod: { seconds: 0n } });
  });

  test("shows a log of 10 GB, from its end and in windows, and searches all of it", async () => {
    const { page, complaints } = await open();
    const id = await start("echo first; echo middle; true");
    await server.client.wait({ id });
    const log = join(server.stateDir, "jobs", id, "stdout.log");
    const lines = "a line of the log\n".repeat(20_000);
    writeFileSync(log, `first\n${lines}needle here\n${lines}`);
    truncateSync(log, 10_000_000_000);
    writeFileSync(log, `\n${lines}the last line\n`, { flag: "a" });
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "the last line");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await output(page, "first");
    await page.getByLabel("Search the whole log").fill("NEEDLE");
    await page.keyboard.press("Enter");
    await output(page, "needle here");
    await page.getByRole("button", { name: "End", exact: true }).click();
    await output(page, "the last line");
    // Scrolling up reads what is before, again and again.
    for (const _ of [1, 2]) {
      await page.locator("#output").focus();
      for (let presses = 0; presses < 30; presses += 1) await page.keyboard.press("PageUp");
    }
    await output(page, "a line of the log");
    const memory = await page.evaluate(
      () =>
        (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize,
    );
    expect(memory).toBeLessThan(150e6);
    expect(complaints).toEqual([]);
  });

  test.each([
    ["light", { width: 1280, height: 760 }],
    ["dark", { width: 390, height: 800 }],
  ] as const)("is accessible, %s, at %o", async (colorScheme, viewport) => {
    const script = "sleep 600 & echo out; echo err >&2; exit 3";
    const onEnd = { command: "echo", args: ["done"] };
    const id = await start(script, { labels: { app: "site" }, onEnd });
    const { page } = await open({ colorScheme, viewport });
    const found: string[] = [];
    const check = async (view: string) => {
      for (const violation of await axeViolations(page)) found.push(`${view}: ${violation}`);
    };
    await page.locator(".row:not(.head)").first().waitFor();
    await check("jobs");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await check("keys");
    await page.keyboard.press("Escape");
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "err");
    await page.getByLabel("times").check();
    await page.getByLabel("Go to a time").fill("1h ago");
    await page.keyboard.press("Enter");
    await page.locator(".gutter .place").waitFor();
    await check("job");
    await page.keyboard.press("d");
    await page.getByRole("dialog").waitFor();
    await check("question");
    await page.goto(`${server.baseUrl}/?like=${id}`);
    await page.getByText("sh", { exact: true }).first().waitFor();
    // The other part is unfolded, as the job has a command for its end.
    await page.getByText("Limits", { exact: true }).click();
    await page.getByLabel("Lease").fill("soon");
    await page.keyboard.press("Enter");
    await page.getByText("must be a duration").waitFor();
    await check("start");
    expect(found).toEqual([]);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide).toBe(false);
  });

  test("saves a log as a file", async () => {
    const { page } = await open();
    const id = await start("seq 1 50000");
    await server.client.wait({ id });
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "50000");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`${id}.stdout.log`);
    const path = join(tempDir(), "saved");
    await download.saveAs(path);
    expect(readFileSync(path, "utf8").trim().split("\n").at(-1)).toBe("50000");
  });

  test("marks several jobs, and cancels and removes them at once", async () => {
    const { page } = await open({ search: "?label=lot%3Done" });
    for (const _ of [1, 2, 3]) await start("sleep 600", { labels: { lot: "one" } });
    await page.getByRole("row").nth(3).waitFor();
    await page.keyboard.press("a");
    await page.getByText("3 marked").waitFor();
    await page.keyboard.press("c");
    await page.getByRole("button", { name: "Cancel 3 jobs" }).click();
    await page.getByText("Cancelled 3 jobs.").waitFor();
    await page.getByRole("button", { name: "Remove…" }).click();
    await page.getByRole("button", { name: "Remove 3 jobs" }).click();
    await page.getByText("No job matches").waitFor();
  });

  test("shows what a job has left behind, and ends it before the job is removed", async () => {
    const { page } = await open({ search: "?label=lot%3Dleft" });
    const labels = { lot: "left" };
    const left = await start("sleep 600 & sleep 600 & echo built", { labels });
    await start("echo ended", { labels });
    await page.getByText("2 processes left").click();
    await page.getByText("It has left 2 processes behind, which still run.").waitFor();
    await page.keyboard.press("d");
    const remove = page.getByRole("button", { name: "Remove this job" });
    expect(await remove.isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await eventually("the list", async () => {
      // A key is lost now and then while the browser closes the dialog.
      await page.keyboard.press("Escape");
      return page.getByRole("grid", { name: "Jobs" }).isVisible();
    });

    // What was not asked for is not done: the notice offers it.
    await page.getByRole("grid", { name: "Jobs" }).press("a");
    await page.keyboard.press("d");
    await page.getByRole("button", { name: "Remove 2 jobs" }).click();
    await page.getByText("Could not remove 1 of 2; 1 done").waitFor();
    await page.getByRole("button", { name: "End these processes and remove…" }).click();
    await page.getByLabel("End them first").check();
    await remove.click();
    await page.getByText("Removed the job.").waitFor();
    await page.getByText("No job matches").waitFor();
    await expect(statusOf(left)).rejects.toThrow(/no job/);
  });

  test("sends lines of input, closes it, and sends a signal", async () => {
    const { page } = await open();
    const script = "trap 'echo got it' USR1; cat; echo closed; while :; do sleep 0.1; done";
    const id = await start(script, { stdin: true });
    await page.goto(`${server.baseUrl}/?job=${id}`);
    const line = page.getByLabel("A line of input for the job");
    await line.fill("hello there");
    await line.press("Enter");
    await output(page, "hello there");
    await line.press("Escape");
    await page.getByRole("button", { name: "Close input" }).click();
    await output(page, "closed");
    await page.keyboard.press("K");
    await page.getByRole("combobox", { name: "Signal" }).fill("usr1");
    await page.keyboard.press("Enter");
    await output(page, "got it");
    await page.getByText("Sent USR1 to the job.").waitFor();
    await server.client.cancel({ id, gracePeriod: { seconds: 0n } });
  });

  test("follows output until the user scrolls up, and again when asked to", async () => {
    const { page } = await open();
    const go = join(tempDir(), "go");
    const id = await start(
      `seq 1 500; while [ ! -e ${go} ]; do sleep 0.05; done; seq 501 1000; sleep 600`,
    );
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "\n500");
    await page.locator("#output").focus();
    await page.keyboard.press("PageUp");
    const follow = page.getByRole("button", { name: "Follow", exact: true });
    await follow.waitFor();
    const before = await shownOutput(page);
    writeFileSync(go, "");
    await eventually("what has come", async () => {
      const text = await page.getByRole("complementary", { name: "Facts" }).innerText();
      return text.includes("stdout 3.89 kB");
    });
    expect(await shownOutput(page)).toBe(before);
    await follow.click();
    await output(page, "\n1000");
    await server.client.cancel({ id, gracePeriod: { seconds: 0n } });
  });

  test("shows when output was written, and goes to a time", async () => {
    const { page } = await open();
    const go = join(tempDir(), "go");
    const id = await start(
      `seq 1 2000; while [ ! -e ${go} ]; do sleep 0.05; done; seq 2001 4000; sleep 600`,
    );
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await output(page, "\n2000");
    const thisSecond = () => Math.floor(Date.now() / 1000);
    await eventually("a second after all that was written so far", async () => {
      const { parts } = await server.client.readOutput({
        id,
        writtenTimes: true,
        ends: OutputEnds.TAIL,
      });
      return Number(parts.at(-1)?.writtenBetween?.to?.seconds ?? Infinity) < thisSecond();
    });
    const time = new Date(thisSecond() * 1000).toTimeString().slice(0, 8);
    writeFileSync(go, "");
    await output(page, "\n4000");
    expect(await page.locator(".gutter span").count()).toBe(0);

    const field = page.getByLabel("Go to a time");
    await field.fill("soon");
    await field.press("Enter");
    await page.getByText('Type "10m ago"').waitFor();
    await field.fill(time);
    await field.press("Enter");
    await eventually("the first line since then", async () =>
      (await shownOutput(page)).startsWith("2001\n"),
    );
    await page.locator(".gutter div:first-child.place").waitFor();
    await page
      .locator(".gutter span")
      .first()
      .getByText(/^\d\d:\d\d:\d\d/)
      .waitFor();
    await page.keyboard.press("t");
    await page.locator(".gutter span").first().waitFor({ state: "detached" });
    await server.client.cancel({ id, gracePeriod: { seconds: 0n } });
  });

  test("ends what a job has left behind, and leaves the job", async () => {
    const { page } = await open();
    const id = await start("sleep 600 & echo built");
    await page.goto(`${server.baseUrl}/?job=${id}`);
    await page.getByRole("button", { name: "End what is left…" }).click();
    await page.getByRole("button", { name: "End 1 process" }).click();
    await page.getByText("Ended what was left by the job.").waitFor();
    await page.getByRole("button", { name: "Start again" }).waitFor();
    expect(await statusOf(id)).toBe(3);
  });

  test("starts a job with limits, a lease and a command for its end, and says what is wrong", async () => {
    const { page } = await open({ search: "?start" });
    await page.getByLabel("Command line").fill("sleep 600");
    await page.getByText("Limits", { exact: true }).click();
    await page.getByLabel("Open files of each process").fill("2");
    await page.getByText("Its end", { exact: true }).click();
    await page.getByLabel("Lease").fill("100s");
    await page.getByLabel("Then run").fill("sh -c 'echo told of $PROCMAN_JOB_STATUS'");
    await page.getByRole("button", { name: "Start", exact: false }).last().click();
    await page.getByText("must be a whole number from 8").waitFor();
    const focused = page.locator("#openFilesMax:focus");
    await focused.waitFor();
    await focused.fill("64");
    await page.keyboard.press("Enter");
    const facts = page.getByRole("complementary", { name: "Facts" });
    await facts.getByText("64 open files a process").waitFor();
    await facts.getByText(/it ends in 1m \d+s unless/).waitFor();
    const id = new URL(page.url()).searchParams.get("job") ?? "";
    const expiresMs = async () => {
      const { job } = await server.client.get({ id });
      return job?.leaseExpireTime ? timestampMs(job.leaseExpireTime) : 0;
    };
    const before = await expiresMs();
    await facts.getByRole("button", { name: "Renew" }).click();
    await eventually("a new lease", async () => (await expiresMs()) > before);
    await page.keyboard.press("c");
    await page.getByRole("button", { name: "Cancel this job" }).click();
    await facts.getByText("told of cancelled").waitFor();
    await facts.getByText("exit code 0").waitFor();
  });

  test("says that there are no jobs, and that none matches", async () => {
    const { page } = await open({ search: "?q=no-such-job" });
    await page.getByText("No job matches").waitFor();
    await page.getByRole("button", { name: "Show all jobs" }).click();
    await page.getByRole("row").nth(1).waitFor();
    expect(new URL(page.url()).search).toBe("");
    await page.goto(`${server.baseUrl}/?job=nonesuch`);
    await page.getByText("There is no such job").waitFor();
  });

  // Last: it ends the session that the others share.
  test("ends with the session: by logging out, and by procman ui --end-sessions", async () => {
    const { page, context } = await open({ ownSession: true });
    await page.getByRole("grid", { name: "Jobs" }).waitFor();
    const other = await context.newPage();
    await other.goto(server.baseUrl);
    await other.getByRole("grid", { name: "Jobs" }).waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText("you have logged out").waitFor();
    // The other tab's stream has ended with the session.
    await other.getByText("This browser is not let in").waitFor();

    const { page: third } = await open({ ownSession: true });
    await third.getByRole("grid", { name: "Jobs" }).waitFor();
    const { stdout } = await procman(server.stateDir, "ui", "--end-sessions");
    expect(stdout).toMatch(/^ended \d+ sessions?\n$/);
    await third.getByText("This browser is not let in").waitFor();
  });
});

/** Returns what axe finds serious, each as a line. */
async function axeViolations(page: Page): Promise<readonly string[]> {
  // Not by a script element: the page's policy allows none.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: typeof axe }).axe.run(document),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id} ${nodes.map(({ html }) => html.slice(0, 100)).join(" | ")}`);
}
