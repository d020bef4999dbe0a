import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { anyAborted } from "../platform/abort-signals.js";
import { addControlTools } from "./control-tools.js";
import { addLogResources } from "./log-resources.js";
import { addLookTools } from "./look-tools.js";
import { KeptLeases } from "./kept-leases.js";
import type { McpHost } from "./mcp-host.js";
import { ProcmanConnection } from "./procman-connection.js";
import { addStartTools } from "./start-tools.js";
import { StdioTransport } from "./stdio-transport.js";

const INSTRUCTIONS = `procman runs commands as jobs that go on when the conversation, you or this server end, and keeps their output and exit codes.
- A command that ends by itself (build, tests, script): run. Where it still runs after wait_seconds, call wait with its id.
- A command that runs on (dev server, watcher): start with a name and if_running "return", then wait with for_port or for_output until it is ready.
- Output is bounded. Answers tell offsets: pass them to wait or output to get only what is new.
- list finds jobs of earlier sessions. cancel what is needed no more.`;

/** Speaks MCP until the input ends. Jobs go on. */
export async function serveMcp(host: McpHost): Promise<void> {
  const server = new McpServer(
    { name: "procman", title: "procman", version: host.version },
    { instructions: INSTRUCTIONS },
  );
  const connection = new ProcmanConnection(host);
  const transport = new StdioTransport(host);
  const { closed } = transport;
  const leases = new KeptLeases(connection, host, closed);
  const context = { server, host, connection, leases };
  addStartTools(context);
  addLookTools(context);
  addControlTools(context);
  addLogResources(server, connection, closed);
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- it is no EventTarget
  server.server.onerror = ({ message }) => host.warn(message);
  await server.connect(transport);
  await anyAborted(closed);
  await connection.close();
}
