import type { Browser, BrowserContext, Page } from "playwright-core";
import { onTestFinished } from "vitest";
import { defined } from "../../src/platform/defined.js";
import { procman } from "./procman-command.js";
import type { TestServer } from "./test-server.js";

/** A tab with the server's page, which was let in by a link. */
export interface OpenedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the browser has complained of: errors of scripts, and what the page's policy refused. */
  readonly complaints: string[];
}

export interface OpenOptions {
  /** What follows the server's address: "?status=running". */
  readonly search?: string;
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly colorScheme?: "light" | "dark";
  /** For a test that ends the session. */
  readonly ownSession?: boolean;
}

/** Returns a link to the server's page. */
export async function pageLink(server: TestServer): Promise<string> {
  const { stdout, stderr, code } = await procman(server.stateDir, "ui");
  if (code !== 0) throw new Error(`procman ui exits with ${code}: ${stderr}`);
  return stdout.trim();
}

/** What tests of one server share, unless they ask for something of their own. */
const shared = new WeakMap<TestServer, OpenedPage>();

/**
 * Opens the page. Where nothing else is asked for, that is one tab for all tests of a server,
 * which is loaded anew; other tabs of it are closed when the test is over.
 */
export async function openPage(
  browser: Browser,
  server: TestServer,
  { search = "", ...options }: OpenOptions = {},
): Promise<OpenedPage> {
  const isShared = Object.keys(options).length === 0;
  const known = isShared ? shared.get(server) : undefined;
  const opened = known ?? (await openContext(browser, options));
  const { page, context, complaints } = opened;
  onTestFinished(async () => {
    if (!isShared) return context.close();
    for (const other of context.pages()) if (other !== page) await other.close();
    await page.goto("about:blank");
    complaints.length = 0;
  });
  if (known) {
    await page.goto(`${server.baseUrl}/${search}`);
  } else {
    const link = await pageLink(server);
    await page.goto(link.replace("/#", `/${search}#`));
  }
  await page.getByRole("navigation", { name: "Page" }).waitFor();
  if (isShared) shared.set(server, opened);
  return opened;
}

async function openContext(browser: Browser, options: Omit<OpenOptions, "search">) {
  const { viewport = { width: 1280, height: 760 }, colorScheme } = options;
  const context = await browser.newContext({ viewport, ...defined({ colorScheme }) });
  const page = await context.newPage();
  return { page, context, complaints: watchComplaints(page) };
}

export function watchComplaints(page: Page): string[] {
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
