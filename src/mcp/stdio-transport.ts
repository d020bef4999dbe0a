import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ReadBuffer, serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js";
import { isJSONRPCRequest, type JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";
import { sleep } from "../platform/timers.js";
import type { McpHost } from "./mcp-host.js";

/** How long calls may still be answered after the end of the input. Clients wait for 2 s. */
const DRAIN_TIMEOUT_MS = 1000;

/**
 * Carries messages over stdin and stdout, a line each. The SDK's own does not notice the
 * end of stdin, nor that nobody reads stdout any more.
 */
export class StdioTransport implements Transport {
  onmessage?: (message: JSONRPCMessage) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly #host: McpHost;
  readonly #closing = new AbortController();
  readonly #unanswered = new Set<string | number>();
  readonly #answered = new AbortController();
  #isAtEnd = false;

  constructor(host: McpHost) {
    this.#host = host;
  }

  /** Aborted when it is closed. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  async start(): Promise<void> {
    void this.#read();
  }

  async send(message: JSONRPCMessage): Promise<void> {
    try {
      await this.#host.send(serializeMessage(message));
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      if (!("method" in message) && message.id !== undefined) this.#settle(message.id);
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.onclose?.();
  }

  async #read(): Promise<void> {
    const buffer = new ReadBuffer();
    const { signal } = this.#closing;
    try {
      for await (const piece of this.#host.input(signal)) {
        buffer.append(Buffer.from(piece));
        while (this.#takeMessage(buffer));
      }
      this.#isAtEnd = true;
      if (this.#unanswered.size > 0) await sleep(DRAIN_TIMEOUT_MS, this.#answered.signal, signal);
    } catch (error) {
      this.onerror?.(error as Error);
    } finally {
      await this.close();
    }
  }

  /** @returns whether there may be more */
  #takeMessage(buffer: ReadBuffer): boolean {
    try {
      const message = buffer.readMessage();
      if (message === null) return false;
      if (isJSONRPCRequest(message)) this.#unanswered.add(message.id);
      else if ("method" in message && message.method === "notifications/cancelled") {
        // Nobody answers it.
        this.#settle(message.params?.["requestId"] as string | number);
      }
      this.onmessage?.(message);
    } catch (error) {
      this.onerror?.(error as Error);
    }
    return true;
  }

  #settle(id: string | number): void {
    this.#unanswered.delete(id);
    if (this.#isAtEnd && this.#unanswered.size === 0) this.#answered.abort();
  }
}
