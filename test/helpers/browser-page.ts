import type { Browser, BrowserContext, Page } from "playwright-core";
import { onTestFinished } from "vitest";
import { procman } from "./procman-command.js";
import type { TestServer } from "./test-server.js";

/** A browser of its own with the server's page, which was let in by a link. */
export interface OpenedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the browser has complained of: errors of scripts, and what the page's policy refused. */
  readonly complaints: readonly string[];
}

export interface OpenOptions {
  /** What follows the server's address: "?status=running". */
  readonly search?: string;
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly colorScheme?: "light" | "dark";
  /** Has it let in by a link of its own. Else it shares a session with others of that server. */
  readonly ownSession?: boolean;
}

/** Returns a link to the server's page. */
export async function pageLink(server: TestServer): Promise<string> {
  const { stdout, stderr, code } = await procman(server.stateDir, "ui");
  if (code !== 0) throw new Error(`procman ui exits with ${code}: ${stderr}`);
  return stdout.trim();
}

type StorageState = Awaited<ReturnType<BrowserContext["storageState"]>>;

/** What a browser that a server has let in keeps of that, for the tests that do not end it. */
const sessions = new WeakMap<TestServer, StorageState>();

/** Closed when the test is over. */
export async function openPage(
  browser: Browser,
  server: TestServer,
  options: OpenOptions = {},
): Promise<OpenedPage> {
  const { search = "", viewport = { width: 1280, height: 760 }, ownSession, ...rest } = options;
  const storageState = ownSession ? undefined : sessions.get(server);
  const context = await browser.newContext({
    viewport,
    ...rest,
    ...(storageState && { storageState }),
  });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const complaints = watchComplaints(page);
  if (storageState) {
    await page.goto(`${server.baseUrl}/${search}`);
  } else {
    const link = await pageLink(server);
    await page.goto(link.replace("/#", `/${search}#`));
  }
  await page.getByRole("navigation", { name: "Page" }).waitFor();
  if (!storageState && !ownSession) sessions.set(server, await context.storageState());
  return { page, context, complaints };
}

export function watchComplaints(page: Page): readonly string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // What the browser says of answers that are errors, the page says too.
    const isAnswer = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isAnswer) complaints.push(message.text());
  });
  return complaints;
}

/** Returns the text that the job's output shows now. */
export async function shownOutput(page: Page): Promise<string> {
  const rows = await page.locator(".xterm-rows > div").allTextContents();
  return rows
    .map((row) => row.replaceAll("\u00a0", " ").trimEnd())
    .join("\n")
    .trimEnd();
}
