import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

/** Debian's. */
const CHROMIUM = "/usr/bin/chromium";

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Why no browser can be used here; undefined where one can. */
export function chromiumIsMissing(): string | undefined {
  return existsSync(CHROMIUM) ? undefined : "chromium is not installed";
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ARGS });
}

/** One for all tests of a file. To be called outside of tests; `current` works in them. */
export function sharedChromium(): { readonly current: Browser } {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());
  return {
    get current() {
      if (!browser) throw new Error("the browser does not run yet");
      return browser;
    },
  };
}
