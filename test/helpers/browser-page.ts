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
}

/** Returns a link to the server's page. */
export async function pageLink(server: TestServer): Promise<string> {
  const { stdout, stderr, code } = await procman(server.stateDir, "ui");
  if (code !== 0) throw new Error(`procman ui exits with ${code}: ${stderr}`);
  return stdout.trim();
}

/** Closed when the test is over. */
export async function openPage(
  browser: Browser,
  server: TestServer,
  { search = "", viewport = { width: 1280, height: 760 }, ...rest }: OpenOptions = {},
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport, ...rest });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const complaints = watchComplaints(page);
  const link = await pageLink(server);
  await page.goto(link.replace("/#", `/${search}#`));
  await page.getByRole("navigation", { name: "Page" }).waitFor();
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
