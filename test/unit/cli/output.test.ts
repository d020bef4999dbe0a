import { createServer, type Socket } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { Writable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { Output, OutputClosed } from "../../../src/cli/terminal/output.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { Captured } from "./fake-cli.js";

test("hands over one piece at a time, in order", async () => {
  const taken: string[] = [];
  let take = () => {};
  const slow = new Writable({
    highWaterMark: 1,
    write(data: Buffer, _encoding, done) {
      taken.push(data.toString());
      take = done;
    },
  });
  const output = new Output(slow, "stdout", {});
  const done: string[] = [];
  const first = output.write("1").then(() => done.push("1"));
  const second = output.write("2").then(() => done.push("2"));
  await new Promise((resolve) => setImmediate(resolve));
  expect({ taken, done }).toEqual({ taken: ["1"], done: [] });
  take();
  await first;
  await new Promise((resolve) => setImmediate(resolve));
  expect({ taken, done }).toEqual({ taken: ["1", "2"], done: ["1"] });
  take();
  await second;
});

test("a reader that has left is told apart from other errors", async () => {
  const path = join(tempDir(), "s.sock");
  const server = createServer((socket) => socket.destroy()).listen(path);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { connect } = await import("node:net");
  const socket: Socket = connect(path);
  onTestFinished(() => void socket.destroy());
  const output = new Output(socket, "stdout", {});
  const endless = async () => {
    for (;;) await output.write(Buffer.alloc(1 << 16));
  };
  await expect(endless()).rejects.toThrow(OutputClosed);
  // And so do all that come later.
  await expect(output.line("x")).rejects.toThrow(OutputClosed);
  await expect(output.flush()).rejects.toThrow(OutputClosed);
});

test("other errors say what could not be written to", async () => {
  const full = new Writable({
    write(_data, _encoding, done) {
      done(Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" }));
    },
  });
  const output = new Output(full, "stdout", {});
  await expect(output.write("x")).rejects.toThrow("cannot write to stdout: ENOSPC");
});

test("paints on terminals only, and not where NO_COLOR is set", () => {
  const painted = "\u001b[31mx\u001b[39m";
  expect(new Output(new Captured({ terminal: true }), "stdout", {}).paint("red", "x")).toBe(
    painted,
  );
  expect(new Output(new Captured(), "stdout", {}).paint("red", "x")).toBe("x");
  const noColor = new Output(new Captured({ terminal: true }), "stdout", { NO_COLOR: "1" });
  expect(noColor.paint("red", "x")).toBe("x");
});

test("only a terminal has a width", () => {
  expect(new Output(new Captured({ terminal: true, columns: 42 }), "stdout", {}).width).toBe(42);
  expect(new Output(new Captured({ columns: 42 }), "stdout", {}).width).toBe(
    Number.POSITIVE_INFINITY,
  );
});
