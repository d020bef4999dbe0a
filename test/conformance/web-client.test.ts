import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { chromiumIsMissing, sharedChromium } from "../helpers/chromium.js";
import { isHere } from "../helpers/foreign-parts.js";
import { freePort } from "../helpers/free-port.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";
import { WebPage } from "../helpers/web-page.js";

const SCRIPT = join(import.meta.dirname, "drivers/web-client-page.ts");

describe.skipIf(!isHere(chromiumIsMissing()))("the built client procman/web, in Chromium", () => {
  const chromium = sharedChromium();

  /** A page whose origin the server allows, or another. */
  async function open({ allowed }: { allowed: boolean }): Promise<[TestServer, Page]> {
    const port = await freePort();
    const served = await WebPage.serve(SCRIPT, port);
    onTestFinished(() => served.close());
    const origin = `http://127.0.0.1:${allowed ? port : port + 1}`;
    const listen = `127.0.0.1:${await freePort()}`;
    const server = await TestServer.start({
      args: ["--listen", listen, "--allow-origin", origin],
    });
    const page = await chromium.current.newPage();
    onTestFinished(() => page.close());
    await page.goto(served.origin);
    return [server, page];
  }

  test("goes on at the right byte after the server was killed", async () => {
    const [server, page] = await open({ allowed: true });
    const go = join(tempDir(), "go");
    await page.exposeFunction("interrupt", async () => {
      await server.restart("SIGKILL");
      writeFileSync(go, "");
    });
    const script = `seq 1 20000; while [ ! -e ${go} ]; do sleep 0.05; done; seq 20001 40000; exit 3`;
    const seen = await page.evaluate(
      async ({ baseUrl, token, script }) => {
        const procman = window.createProcmanClient({ baseUrl, token });
        const { id } = await procman.start({ command: "sh", args: ["-c", script] });
        const decoder = new TextDecoder();
        let text = "";
        let interrupted: Promise<void> | undefined;
        let status = "";
        for await (const event of procman.attach(id, { follow: true })) {
          if (event.type === "chunk") text += decoder.decode(event.data, { stream: true });
          if (event.type === "ended") status = event.job.status;
          if (text.endsWith("\n20000\n")) interrupted ??= window.interrupt();
        }
        await interrupted;
        await procman.close();
        return { text, status };
      },
      { baseUrl: server.baseUrl, token: server.token, script },
    );
    const lines = Array.from({ length: 40_000 }, (_, index) => `${index + 1}\n`);
    expect(seen.text === lines.join("")).toBe(true);
    expect(seen.status).toBe("failed");
  });

  test("says what was wrong, with the fields", async () => {
    const [{ baseUrl, token }, page] = await open({ allowed: true });
    const error = await page.evaluate(
      async (options) => {
        const procman = window.createProcmanClient({ ...options, reconnect: false });
        return procman.start({ command: "" }).catch((error: unknown) => ({ ...(error as object) }));
      },
      { baseUrl, token },
    );
    expect(error).toMatchObject({
      reason: "INVALID_ARGUMENT",
      violations: [{ field: "command" }],
    });
  });

  test("gets nowhere from a page of an origin that is not allowed, whatever it knows", async () => {
    const [server, page] = await open({ allowed: false });
    const { baseUrl, token } = server;
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.method()));
    const { reason, message } = await page.evaluate(
      async (options) => {
        const procman = window.createProcmanClient(options);
        return procman.start({ command: "true" }).then(
          () => ({ reason: "nothing", message: "" }),
          (error: unknown) => {
            const { reason, message } = error as { reason: string; message: string };
            return { reason, message };
          },
        );
      },
      { baseUrl, token },
    );
    expect(reason).toBe("ORIGIN_NOT_ALLOWED");
    const origin = new URL(page.url()).origin;
    expect(message).toContain(`procman serve --allow-origin ${origin}`);
    // It is not tried again.
    expect(asked.filter((method) => method === "POST")).toHaveLength(1);
    expect((await server.client.list({})).totalSize).toBe(0);
  });
});
