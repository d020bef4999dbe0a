import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import type { JsonValue } from "@bufbuild/protobuf";
import { createProcmanClientFromTransport } from "../../client/procman-client.js";
import type { Procman } from "../../contract/procman.js";
import type { Door, DoorAnswer } from "../state/door-state.js";

/** See the server's `page-door.ts`. */
const KEY_HEADER = "Procman-Page-Key";

export interface ConnectionOptions {
  /** Where the page is served: "http://127.0.0.1:7420/". */
  readonly baseUrl: string;
  /** Keeps the session's key where pages of this origin alone can read it. */
  readonly keys: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  /** Called with whether the server was reached, at each call. */
  readonly onReached: (isReached: boolean) => void;
  /** Called where the server says that there is no session. */
  readonly onShut: (why: string) => void;
}

export interface Connection {
  readonly procman: Procman;
  readonly door: Door;
}

/** Makes all that talks to the server. */
export function createConnection(options: ConnectionOptions): Connection {
  const { baseUrl, keys, onReached, onShut } = options;
  const keyName = `procman-page-key ${new URL(baseUrl).pathname}`;
  const tellingFetch: typeof fetch = async (input, init) => {
    try {
      const response = await fetch(input, init);
      onReached(true);
      return response;
    } catch (error) {
      if (!init?.signal?.aborted) onReached(false);
      throw error;
    }
  };
  const told = (error: unknown): unknown => {
    const { code, rawMessage } = ConnectError.from(error);
    if (code === Code.Unauthenticated) onShut(rawMessage);
    return error;
  };
  /** A stream is refused by its first message. */
  async function* tellIfShut<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (error) {
      throw told(error);
    }
  }
  const showKey: Interceptor = (next) => async (request) => {
    request.header.set(KEY_HEADER, keys.getItem(keyName) ?? "");
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: tellIfShut(response.message) };
    } catch (error) {
      throw told(error);
    }
  };
  const transport = createConnectTransport({
    baseUrl,
    // Half as long as JSON, and read faster.
    useBinaryFormat: true,
    fetch: tellingFetch,
    interceptors: [showKey],
  });
  const procman = createProcmanClientFromTransport(transport, {
    server: "the server",
    reconnect: { giveUpAfterMs: Number.MAX_SAFE_INTEGER },
  });

  const send = async (method: string, path: string, body?: string) => {
    const headers = { [KEY_HEADER]: keys.getItem(keyName) ?? "" };
    const init = { method, headers, body: body ?? null };
    const response = await tellingFetch(`${baseUrl}${path}`, init);
    const answer = (await response.json()) as JsonValue;
    if (response.ok) return answer as Record<string, string>;
    const fallback = new ConnectError(`the server answers ${response.status}`, Code.Unknown);
    throw errorFromJson(answer, undefined, fallback);
  };
  const ask = async (method: string, body?: string): Promise<DoorAnswer> => {
    try {
      return { ...(await send(method, "ui/session", body)), type: "in" };
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      const isShut = error.code === Code.Unauthenticated || error.code === Code.PermissionDenied;
      return { type: isShut ? "out" : "failed", why: error.rawMessage };
    }
  };
  const door: Door = {
    isKnown: keys.getItem(keyName) !== null,
    look: () => ask("GET"),
    enter: async (link) => {
      const answer = await ask("POST", link);
      if (answer.type === "in" && answer.key !== undefined) keys.setItem(keyName, answer.key);
      return answer;
    },
    download: async (jobId, stream) => {
      const body = JSON.stringify({ jobId, stream });
      const { path } = await send("POST", "ui/downloads", body);
      return `${baseUrl}${path}`;
    },
    leave: async () => {
      await ask("DELETE");
      keys.removeItem(keyName);
    },
  };
  return { procman, door };
}
