import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import type { CallToolResult, ToolAnnotations } from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";
import type { KeptLeases } from "./kept-leases.js";
import type { McpHost } from "./mcp-host.js";
import type { ProcmanConnection } from "./procman-connection.js";
import { toolError } from "./tool-result.js";
import type { ToolCall } from "./wait-with-progress.js";

/** What the tools share. */
export interface ToolContext {
  readonly server: McpServer;
  readonly host: McpHost;
  readonly connection: ProcmanConnection;
  readonly leases: KeptLeases;
}

/** Tools that change nothing. */
export const READS: ToolAnnotations = { readOnlyHint: true, openWorldHint: false };
/** Tools that change a job, and can end it or what it does. */
export const ENDS_JOBS: ToolAnnotations = {
  readOnlyHint: false,
  destructiveHint: true,
  openWorldHint: false,
};
/** Tools that run a command, which may do anything. */
export const RUNS_COMMANDS: ToolAnnotations = {
  readOnlyHint: false,
  destructiveHint: true,
  openWorldHint: true,
};

export interface ToolOptions<Input extends z.ZodRawShape, Output extends z.ZodRawShape> {
  readonly title: string;
  readonly description: string;
  /** An argument that is not among them is an error. */
  readonly input: Input;
  readonly output: Output;
  readonly annotations: ToolAnnotations;
}

/** Adds a tool. What it throws becomes a result that says what to do about it. */
export function addTool<Input extends z.ZodRawShape, Output extends z.ZodRawShape>(
  { server }: ToolContext,
  name: string,
  { title, description, input, output, annotations }: ToolOptions<Input, Output>,
  act: (
    args: z.infer<z.ZodObject<Input, z.core.$strict>>,
    call: ToolCall,
  ) => Promise<CallToolResult>,
): void {
  const config = {
    title,
    description,
    inputSchema: z.strictObject(input) as z.ZodType,
    outputSchema: z.object(output) as z.ZodType,
    annotations: { title, ...annotations },
  };
  server.registerTool(name, config, async (args: unknown, call: ToolCall) => {
    try {
      return await act(args as z.infer<z.ZodObject<Input, z.core.$strict>>, call);
    } catch (error) {
      return toolError(error);
    }
  });
}
