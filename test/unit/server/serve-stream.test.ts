import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import { serveStream } from "../../../src/server/serve-stream.js";
import { collect } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";

const LONG_MS = 60_000;
const CLOSING = new ProcmanError("SHUTTING_DOWN", "closing");

/** Gives what is put in; notes that it was released. */
class Source implements AsyncIterable<string> {
  released = 0;
  readonly #items: string[] = [];
  #wake = () => {};
  #ended = false;

  put(...items: string[]): void {
    this.#items.push(...items);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    try {
      for (;;) {
        const item = this.#items.shift();
        if (item !== undefined) yield item;
        else if (this.#ended) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.released += 1;
    }
  }
}

interface Options {
  readonly heartbeatIntervalMs?: number;
  readonly encode?: (item: string) => string;
}

/** Serves a source; notes how the stream ended. */
function serve(
  source: AsyncIterable<string> | (() => AsyncIterable<string>),
  { heartbeatIntervalMs = LONG_MS, encode = (item) => item }: Options = {},
) {
  const controller = new AbortController();
  const ends: (ConnectError | undefined)[] = [];
  const stream = serveStream({
    open: () => (typeof source === "function" ? source() : source),
    encode,
    heartbeat: "beat",
    heartbeatIntervalMs,
    signal: controller.signal,
    onEnd: (error) => ends.push(error),
  });
  return { stream, ends, abort: (reason: unknown) => controller.abort(reason) };
}

describe("serveStream", () => {
  test("encodes events, in order, and ends with the source", async () => {
    const source = new Source();
    source.put("a", "b", "c");
    source.end();
    const { stream, ends, abort } = serve(source, { encode: (item) => item.toUpperCase() });
    expect(await collect(stream)).toEqual(["A", "B", "C"]);
    expect(source.released).toBe(1);
    abort(CLOSING);
    expect(ends).toEqual([undefined]);
  });

  test("asks the source for the next event when it is asked for the next message", async () => {
    const asked: string[] = [];
    async function* source() {
      for (const item of ["a", "b", "c"]) {
        asked.push(item);
        yield item;
      }
    }
    const { stream } = serve(source);
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(asked).toEqual(["a"]);
    await stream.next();
    expect(asked).toEqual(["a", "b"]);
  });

  test("sends a heartbeat after each silence, none while there is something", async () => {
    const source = new Source();
    source.put("a");
    const items: string[] = [];
    for await (const item of serve(source, { heartbeatIntervalMs: 5 }).stream) {
      items.push(item);
      if (items.length === 3) source.put("b", "c");
      if (item === "c") source.end();
    }
    expect(items.slice(0, 3)).toEqual(["a", "beat", "beat"]);
    const rest = items.slice(3).filter((item) => item !== "beat");
    expect(rest).toEqual(["b", "c"]);
  });

  test("fails as the source does", async () => {
    async function* failing() {
      yield "a";
      throw new Error("broken");
    }
    const { stream, ends } = serve(failing);
    expect(await stream.next()).toEqual({ done: false, value: "a" });
    const failure = { code: Code.Internal, cause: { message: "broken" } };
    await expect(stream.next()).rejects.toMatchObject(failure);
    expect(ends).toMatchObject([failure]);
  });

  test("fails when the source cannot be opened, or an event cannot be encoded", async () => {
    const unopened = serve(() => {
      throw new ProcmanError("INVALID_ARGUMENT", "no such thing");
    });
    const refused = { code: Code.InvalidArgument, rawMessage: "no such thing" };
    await expect(unopened.stream.next()).rejects.toMatchObject(refused);
    expect(unopened.ends).toMatchObject([refused]);

    const source = new Source();
    source.put("a");
    const encode = () => {
      throw new Error("no number");
    };
    const unencoded = serve(source, { encode });
    await expect(unencoded.stream.next()).rejects.toMatchObject({ code: Code.Internal });
    expect(unencoded.ends).toMatchObject([{ cause: { message: "no number" } }]);
    expect(source.released).toBe(1);
  });

  test("releases the source when the consumer leaves", async () => {
    const source = new Source();
    source.put("a", "b");
    const { stream, ends } = serve(source);
    for await (const _ of stream) break;
    expect(source.released).toBe(1);
    expect(ends).toMatchObject([{ code: Code.Canceled }]);
  });

  test("releases the source when aborted while the consumer asks for nothing", async () => {
    const source = new Source();
    source.put("a", "b");
    const { stream, ends, abort } = serve(source);
    await stream.next();
    abort(CLOSING);
    expect(ends).toMatchObject([{ code: Code.Unavailable }]);
    await eventually("the release", () => source.released === 1);
    await expect(stream.next()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(ends).toHaveLength(1);
  });

  test("fails with the signal's reason, though the source heeds no signal", async () => {
    const { stream, abort } = serve(new Source());
    const next = stream.next();
    abort(CLOSING);
    await expect(next).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: "closing" });
  });

  test("opens nothing for a call that is over", async () => {
    const { stream, ends, abort } = serve(() => expect.unreachable());
    abort(new ConnectError("late", Code.DeadlineExceeded));
    await expect(stream.next()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(ends).toMatchObject([{ code: Code.DeadlineExceeded }]);
  });

  test("a slow consumer is given what there is, not what it missed of silence", async () => {
    const source = new Source();
    source.put("a", "b");
    const { stream } = serve(source, { heartbeatIntervalMs: 5 });
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect((await stream.next()).value).toBe("b");
    await stream.return(undefined);
  });
});
