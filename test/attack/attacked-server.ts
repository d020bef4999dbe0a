import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, vi } from "vitest";
import { openDescriptors, peakRssKib, resetPeakRss, rssKib } from "../crash/process-figures.js";
import { eventually } from "../helpers/eventually.js";
import { TestServer, type TestServerOptions } from "../helpers/test-server.js";
import { NormalClient } from "./normal-client.js";

/** What an attack may add to the server's memory at its height. */
const MAX_GROWTH_KIB = 200 * 1024;
/** Far beyond what the server takes to notice that a client has left. */
const RELEASE_MS = 60_000;
/** Between a look at the normal client's round and the next, for what it has open itself. */
const SAMPLES = 10;
const SAMPLE_PAUSE_MS = 10;

/**
 * A real server, attacked by each test of a file while a normal client works on
 * over every protocol. After each attack it is up, has taken no more than some
 * memory, holds no more descriptors than before and has nothing to complain of;
 * the client got every answer, and gets on.
 */
export class AttackedServer {
  readonly server: TestServer;
  #client: NormalClient | undefined;
  #checkedLog = 0;

  private constructor(server: TestServer) {
    this.server = server;
  }

  /** For all tests of a file. To be called outside of tests; it runs once they do. */
  static shared(options: TestServerOptions = {}): AttackedServer {
    vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });
    // Hooks run in reverse, and one that fails keeps the rest from running: the server's is among them.
    let failure: unknown;
    afterAll(() => {
      if (failure) throw failure;
    });
    const attacked = new AttackedServer(TestServer.shared(options));
    let quiet: number;
    beforeAll(async () => {
      await attacked.server.settle();
      quiet = attacked.#keptOpen();
      attacked.#client = await NormalClient.start(attacked.server);
    });
    afterAll(async () => {
      try {
        if (!attacked.#client) return;
        await attacked.#client.leave();
        const isReleased = () => attacked.#keptOpen() <= quiet;
        await eventually("the release of every descriptor", isReleased, RELEASE_MS);
      } catch (error) {
        failure = error;
      }
    });
    return attacked;
  }

  get port(): number {
    return Number(new URL(this.server.baseUrl).port);
  }

  /** "127.0.0.1:7420". */
  get authority(): string {
    return new URL(this.server.baseUrl).host;
  }

  /** @param maxGrowthKib of the server's memory. */
  async attack(how: () => Promise<void>, maxGrowthKib = MAX_GROWTH_KIB): Promise<void> {
    const { server } = this;
    const descriptors = await this.#usualDescriptors();
    const before = rssKib(server.pid);
    resetPeakRss(server.pid);
    await how();
    await this.#client?.getsOn();
    expect(server.hasEnded, server.log.slice(this.#checkedLog)).toBe(false);
    expect(peakRssKib(server.pid) - before).toBeLessThan(maxGrowthKib);
    expect(this.#newComplaints()).toEqual([]);
    await eventually(
      `the release of descriptors, to ${descriptors} or fewer`,
      () => openDescriptors(server.pid) <= descriptors,
      RELEASE_MS,
    );
  }

  /** Without the one for all of its watches, which is opened at the first. */
  #keptOpen(): number {
    return this.server.openFiles().filter((path) => path !== "anon_inode:inotify").length;
  }

  /** With what the normal client has open at the most. */
  async #usualDescriptors(): Promise<number> {
    let most = 0;
    for (let n = 0; n < SAMPLES; n += 1) {
      most = Math.max(most, openDescriptors(this.server.pid));
      await sleep(SAMPLE_PAUSE_MS);
    }
    return most;
  }

  /** Errors in the log since the last look. */
  #newComplaints(): string[] {
    const { log } = this.server;
    const fresh = log.slice(this.#checkedLog);
    this.#checkedLog = log.length;
    return fresh.split("\n").filter((line) => /"level":[56]0/.test(line));
  }
}
