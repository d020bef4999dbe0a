import { describe, expect, test } from "vitest";
import { Input } from "../../../src/cli/terminal/input.js";
import { parseDetachKey, sendKeys } from "../../../src/cli/terminal/keys.js";
import { pumpInput } from "../../../src/cli/terminal/pump-input.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import { MAX_INPUT_PIECE_BYTES } from "../../../src/contract/job.js";
import type { SendInputOptions } from "../../../src/contract/procman.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";
import { Typed } from "./fake-cli.js";

function procmanWithJob(): FakeProcman {
  const procman = new FakeProcman();
  procman.addJob("job1", { stdin: true });
  return procman;
}

function sentTo(procman: FakeProcman): SendInputOptions[] {
  return procman.calls.map(({ args }) => args[1] as SendInputOptions);
}

async function* pieces(...texts: readonly (string | Buffer)[]) {
  for (const text of texts) yield Buffer.from(text);
}

const never = new AbortController().signal;

describe("what is read", () => {
  test("goes in pieces that a call can take", async () => {
    const procman = procmanWithJob();
    const data = Buffer.alloc(2 * MAX_INPUT_PIECE_BYTES + 3, "x");
    await pumpInput(procman, "job1", () => pieces(data), { close: true, signal: never });
    const calls = sentTo(procman);
    expect(calls.map(({ data }) => data?.length)).toEqual([
      MAX_INPUT_PIECE_BYTES,
      MAX_INPUT_PIECE_BYTES,
      3,
      undefined,
    ]);
    expect(calls.map(({ offset }) => offset)).toEqual([
      0,
      MAX_INPUT_PIECE_BYTES,
      2 * MAX_INPUT_PIECE_BYTES,
      data.length,
    ]);
    expect(calls.at(-1)).toMatchObject({ close: true });
  });

  test("is not closed when it was left before its end", async () => {
    const procman = procmanWithJob();
    const left = new AbortController();
    async function* untilLeft() {
      yield Buffer.from("x");
      await eventually("the first piece", () => procman.calls.length === 1);
      left.abort();
    }
    const options = { close: true, signal: left.signal };
    await pumpInput(procman, "job1", () => untilLeft(), options);
    expect(sentTo(procman).map(({ close }) => close)).toEqual([undefined]);
  });

  test("is read no more when it cannot be sent", async () => {
    const procman = procmanWithJob();
    procman.failure = new ProcmanError("DISK_FULL", "no space");
    let reading: AbortSignal | undefined;
    const read = (signal: AbortSignal) => {
      reading = signal;
      return pieces("x");
    };
    const pumping = pumpInput(procman, "job1", read, { close: false, signal: never });
    await expect(pumping).rejects.toThrow("no space");
    expect(reading?.aborted).toBe(true);
  });

  test("a sender that the server knows otherwise is an error, and not tried forever", async () => {
    const procman = procmanWithJob();
    procman.sendInput = async () => {
      throw new ProcmanError("OFFSET_OUT_OF_RANGE", "it begins later");
    };
    const options = { sender: "run", close: false, signal: never };
    await expect(pumpInput(procman, "job1", () => pieces("x"), options)).rejects.toThrow(
      "it begins later",
    );
  });
});

test("nothing after the detach key is sent, also where it comes in two reads", async () => {
  let sent = "";
  let detached = 0;
  await sendKeys(
    pieces("ls\u001b[93", ";69uxyz", "more"),
    async (keys) => {
      for await (const piece of keys(never)) sent += Buffer.from(piece).toString();
    },
    {
      detachKey: parseDetachKey("ctrl-]"),
      onDetach: () => (detached += 1),
      onDropped: () => {},
    },
  );
  expect({ sent, detached }).toEqual({ sent: "ls\u001b[93", detached: 1 });
});

test("the detach key is looked for in what is new, and in a little before it", async () => {
  const lengths: number[] = [];
  const detachKey = {
    name: "",
    findIn: (typed: Uint8Array) => {
      lengths.push(typed.length);
      return -1;
    },
  };
  const options = { detachKey, onDetach: () => {}, onDropped: () => {} };
  const typed = pieces(...Array.from({ length: 100 }, () => "x".repeat(10)));
  let sent = "";
  await sendKeys(
    typed,
    async (keys) => {
      for await (const piece of keys(never)) sent += Buffer.from(piece).toString();
    },
    options,
  );
  expect(sent).toBe("x".repeat(1000));
  expect(Math.max(...lengths)).toBe(64 + 10);
});

describe("stdin", () => {
  test("is left alone when nobody reads it any more", async () => {
    const typed = new Typed();
    let unrefs = 0;
    Object.assign(typed, { unref: () => (unrefs += 1) });
    const stop = new AbortController();
    const read: string[] = [];
    const reading = (async () => {
      for await (const piece of new Input(typed).pieces(stop.signal)) {
        read.push(Buffer.from(piece).toString());
      }
    })();
    typed.write("one");
    await eventually("the piece", () => read.length === 1);
    stop.abort();
    // Quietly: it was asked for.
    await reading;
    expect(typed.isPaused()).toBe(true);
    expect(unrefs).toBe(1);
    typed.write("two");
    expect(read).toEqual(["one"]);
  });

  test("that has ended, or is not to be read, yields nothing", async () => {
    const typed = new Typed();
    typed.resume().end();
    await eventually("the end", () => typed.readableEnded);
    const aborted = AbortSignal.abort();
    for (const [stream, signal] of [
      [typed, never],
      [new Typed(), aborted],
    ] as const) {
      for await (const piece of new Input(stream).pieces(signal)) expect(piece).toBe("nothing");
    }
  });

  test("an error of reading is one", async () => {
    const typed = new Typed();
    const reading = (async () => {
      for await (const piece of new Input(typed).pieces(never)) expect(piece).toBe("nothing");
    })();
    typed.destroy(new Error("EIO"));
    await expect(reading).rejects.toThrow("EIO");
  });
});
