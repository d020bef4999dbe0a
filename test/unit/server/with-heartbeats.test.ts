import { describe, expect, test } from "vitest";
import { withHeartbeats } from "../../../src/server/with-heartbeats.js";
import { collect } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";

const never = new AbortController().signal;
const LONG_MS = 60_000;

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

describe("withHeartbeats", () => {
  test("passes items on, in order, and ends with the source", async () => {
    const source = new Source();
    source.put("a", "b", "c");
    source.end();
    const items = await collect(withHeartbeats(source, LONG_MS, () => "beat", never));
    expect(items).toEqual(["a", "b", "c"]);
    expect(source.released).toBe(1);
  });

  test("gives one after each silence, none while there is something", async () => {
    const source = new Source();
    source.put("a");
    const items: string[] = [];
    for await (const item of withHeartbeats(source, 5, () => "beat", never)) {
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
    const stream = withHeartbeats(failing(), LONG_MS, () => "beat", never);
    expect(await stream.next()).toEqual({ done: false, value: "a" });
    await expect(stream.next()).rejects.toThrow("broken");
  });

  test("releases the source when the consumer leaves", async () => {
    const source = new Source();
    source.put("a", "b");
    for await (const _ of withHeartbeats(source, LONG_MS, () => "beat", never)) break;
    expect(source.released).toBe(1);
  });

  test("releases the source when aborted while the consumer asks for nothing", async () => {
    const source = new Source();
    source.put("a", "b");
    const abort = new AbortController();
    const stream = withHeartbeats(source, LONG_MS, () => "beat", abort.signal);
    await stream.next();
    abort.abort(new Error("left"));
    await eventually("the release", () => source.released === 1);
    await expect(stream.next()).rejects.toThrow("left");
  });

  test("fails with the signal's reason, though the source heeds no signal", async () => {
    const source = new Source();
    const abort = new AbortController();
    const next = withHeartbeats(source, LONG_MS, () => "beat", abort.signal).next();
    abort.abort(new Error("left"));
    await expect(next).rejects.toThrow("left");
    const late = withHeartbeats(source, LONG_MS, () => "beat", abort.signal);
    await expect(late.next()).rejects.toThrow("left");
  });

  test("a slow consumer is given what there is, not what it missed of silence", async () => {
    const source = new Source();
    source.put("a", "b");
    const stream = withHeartbeats(source, 5, () => "beat", never);
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect((await stream.next()).value).toBe("b");
    await stream.return(undefined);
  });
});
