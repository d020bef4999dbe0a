import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { onTestFinished } from "vitest";
import { MAIN } from "./test-server.js";

export type CallOptions = NonNullable<Parameters<Client["callTool"]>[2]>;

/** What a tool has answered. */
export interface Answer {
  readonly isError: boolean;
  /** All of its text. */
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- the client checks it against the tool's schema
  readonly told: any;
  readonly meta: Record<string, unknown>;
}

/** An agent: a client of the SDK's that has started `procman mcp`. */
export class McpTestClient {
  readonly client: Client;
  readonly transport: StdioClientTransport;
  #stderr = "";

  constructor(stateDir: string, args: readonly string[] = [], cwd?: string) {
    this.client = new Client({ name: "test", version: "1" });
    this.transport = new StdioClientTransport({
      command: process.execPath,
      args: [MAIN, "mcp", ...args],
      env: {
        ...(process.env as Record<string, string>),
        PROCMAN_STATE_DIR: stateDir,
        PROCMAN_LISTEN: "none",
      },
      stderr: "pipe",
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.transport.stderr?.on("data", (data: Buffer) => {
      this.#stderr += data.toString();
    });
  }

  /** One that ends with the test. */
  static async start(
    stateDir: string,
    args: readonly string[] = [],
    cwd?: string,
  ): Promise<McpTestClient> {
    const agent = new McpTestClient(stateDir, args, cwd);
    onTestFinished(() => agent.close());
    await agent.connect();
    return agent;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get pid(): number {
    return this.transport.pid as number;
  }

  async connect(): Promise<void> {
    await this.client.connect(this.transport);
    // From then on it checks what tools return.
    await this.client.listTools();
  }

  async call(
    name: string,
    args: Record<string, unknown> = {},
    options: CallOptions = {},
  ): Promise<Answer> {
    const result = await this.client.callTool({ name, arguments: args }, undefined, options);
    const { content, structuredContent, isError, _meta } = result as CallToolResult;
    const text = content.map((each) => (each.type === "text" ? each.text : "")).join("");
    return { isError: isError === true, text, told: structuredContent, meta: _meta ?? {} };
  }

  close(): Promise<void> {
    return this.client.close();
  }
}
