import { join } from "node:path";
import type { Browser } from "playwright-core";
import type { WebPage } from "../helpers/web-page.js";
import type { ConformanceClient, Target } from "./conformance-client.js";
import { type Answer, type Ask, driverClient } from "./driver-client.js";
import type { BrowserProtocol } from "./drivers/page.js";

/** The script of the page that calls. */
export const PAGE_SCRIPT = join(import.meta.dirname, "drivers/page.ts");

/** Connect-Web in a page of a browser, from another origin than the server's. */
export async function browserClient(
  protocol: BrowserProtocol,
  target: Target,
  browser: Browser,
  { origin }: WebPage,
): Promise<ConformanceClient> {
  // The certificate is the test's own, which no browser knows.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  let onAnswer: (answer: Answer) => void = () => {};
  await page.exposeFunction("answer", (answer: Answer) => onAnswer(answer));
  await page.goto(origin);
  await page.evaluate(([protocol, baseUrl]) => window.use(protocol, baseUrl), [
    protocol,
    target.baseUrl,
  ] as const);
  return driverClient(
    `Connect-Web in Chromium, ${protocol}`,
    target,
    {
      // The page may be gone already when a stream is left.
      ask: (ask) =>
        void page.evaluate((ask) => window.ask(ask as Ask), ask as object).catch(() => {}),
      onAnswer: (listener) => {
        onAnswer = listener;
      },
      close: () => context.close(),
    },
    "lasting connection",
  );
}
