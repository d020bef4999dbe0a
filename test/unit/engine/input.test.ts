import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { JobInput, type JobInputOptions } from "../../../src/engine/local/input/job-input.js";
import { isAlive, processTable } from "../../../src/engine/local/process/processes.js";
import { eventually } from "../../helpers/eventually.js";
import { shells } from "../../helpers/shells.js";
import { exitOf, isRunning, never, startJob, stopJob } from "./shell-job.js";

const MIB = 1024 * 1024;

describe.each(shells())("%s", (_program, shell) => {
  const start = (
    command: [string, ...string[]],
    options: { pty?: boolean } = {},
    inputOptions?: JobInputOptions,
  ) => startJob(shell, command, { stdin: true, ...options }, inputOptions);

  test.each([
    [["cat"], "b\na\nc"],
    [["wc", "-c"], "5\n"],
    [["sort"], "a\nb\nc\n"],
    [["sh", "-c", "read x; echo got $x; cat"], "got b\na\nc"],
  ] as [[string, ...string[]], string][])(
    "%j sees all bytes, as they come, and then the end",
    async (command, output) => {
      const job = await start(command);
      expect(await job.send("b\n")).toBe(2);
      expect(await job.send("a\n", { offset: 2 })).toBe(4);
      expect(isRunning(job)).toBe(true);
      expect(await job.send("c", { offset: 4, close: true })).toBe(5);
      expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
      expect(job.log()).toBe(output);
      expect(job.log("stderr.log")).toBe("");
    },
  );

  test("a piece that was being added as its sender left is not when the input is closed", async () => {
    const job = await start(["sleep", "1000"]);
    const content = () =>
      ["stdin.log", "stdin.senders", "stdin.senders.tmp"].map((name) => {
        const path = join(job.dir.path, name);
        return existsSync(path) ? readFileSync(path, "latin1") : "";
      });
    for (let turns = 0; turns < 40; turns += 1) {
      const input = new JobInput(job.dir);
      const leaving = new AbortController();
      const piece = { sender: "", data: Buffer.from("x"), close: false };
      const sending = input.send(piece, false, leaving.signal).catch(() => {});
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
      leaving.abort();
      await sending;
      await input.close();
      const closed = content();
      // Whatever would be late is ahead of these in the queue of the threads.
      for (let n = 0; n < 10; n += 1) await Promise.all(Array.from({ length: 8 }, () => stat("/")));
      expect(content(), `after ${turns} turns`).toEqual(closed);
    }
  });

  test("what is sent comes while the input stays open", async () => {
    const job = await start(["cat"]);
    for (let n = 0, offset = 0; n < 50; n += 1) {
      offset = await job.send(`line ${n}\n`, { offset });
      await eventually("the line", () => job.log().endsWith(`line ${n}\n`));
    }
    expect(isRunning(job)).toBe(true);
  });

  test("any bytes, many of them, through a command that is slow to begin", async () => {
    const job = await start(["sh", "-c", "sleep 0.3; exec sha256sum"]);
    const hash = createHash("sha256");
    for (let n = 0, offset = 0; n < 12; n += 1) {
      const data = randomBytes(MIB - n);
      hash.update(data);
      offset = await job.send(data, { offset, close: n === 11 });
    }
    await job.ended;
    expect(job.log().split(" ")[0]).toBe(hash.digest("hex"));
  });

  test("a closed input without a byte", async () => {
    const job = await start(["wc", "-c"]);
    expect(await job.send("", { close: true })).toBe(0);
    await job.ended;
    expect(job.log()).toBe("0\n");
  });

  test("what is sent again is not taken again, whole or in part, also after the end", async () => {
    const job = await start(["cat"]);
    expect(await job.send("abc", { offset: 0 })).toBe(3);
    expect(await job.send("abc", { offset: 0 })).toBe(3);
    expect(await job.send("bcdef", { offset: 1 })).toBe(6);
    expect(await job.send("", {})).toBe(6);
    expect(await job.send("de", { offset: 3 })).toBe(6);
    expect(await job.send("f", { offset: 5, close: true })).toBe(6);
    await job.ended;
    expect(await job.send("f", { offset: 5, close: true })).toBe(6);
    expect(await job.send("abc", { offset: 0 })).toBe(6);
    expect(job.log()).toBe("abcdef");
  });

  test("a place that the sender has not come to is refused, and changes nothing", async () => {
    const job = await start(["cat"]);
    await job.send("abc");
    const error = { reason: "OFFSET_OUT_OF_RANGE" };
    await expect(job.send("x", { offset: 4 })).rejects.toMatchObject(error);
    await expect(job.send("x", { offset: 1, sender: "b" })).rejects.toMatchObject(error);
    await expect(job.send("", { offset: 4 })).rejects.toMatchObject(error);
    await job.send("d", { close: true });
    await job.ended;
    expect(job.log()).toBe("abcd");
  });

  test("what one sender sends is not taken for another's, be it the same", async () => {
    const job = await start(["cat"]);
    for (const sender of ["a", "b", "a", ""]) await job.send("y\n", { sender });
    expect(await job.send("y\n", { sender: "b", offset: 2 })).toBe(4);
    expect(await job.send("y\n", { sender: "b", offset: 2 })).toBe(4);
    expect(await job.send("y\n", { sender: "a", offset: 2 })).toBe(4);
    expect(await job.send("", { sender: "a" })).toBe(4);
    expect(await job.send("", { sender: "c" })).toBe(0);
    expect(await job.send("y\ny", { sender: "", offset: 0, close: true })).toBe(3);
    await job.ended;
    expect(job.log()).toBe(`${"y\n".repeat(5)}y`);
  });

  test("a piece of which a part was taken goes on there, also after others", async () => {
    const job = await start(["cat"]);
    await job.send("before ", { sender: "a" });
    await job.send("whole", { sender: "b" });
    // As when the server dies, or the disk is full, within the piece of b.
    truncateSync(join(job.dir.path, "stdin.log"), "before wh".length);
    expect(await job.send("", { sender: "b" })).toBe(2);
    await job.send("-", { sender: "c" });
    expect(await job.send("whole ", { sender: "b", offset: 0 })).toBe(6);
    expect(await job.send("after", { sender: "a", offset: 7, close: true })).toBe(12);
    await job.ended;
    expect(readFileSync(join(job.dir.path, "stdin.log"), "utf8")).toBe("before wh-ole after");
  });

  test("the senders that were last heard of are remembered", async () => {
    const job = await start(["cat"]);
    await job.send("first", { sender: "first" });
    for (let n = 0; n < 63; n += 1) await job.send("x", { sender: `other-${n}` });
    expect(await job.send("first!", { sender: "first", offset: 0 })).toBe(6);
    await job.send("x", { sender: "one-too-many" });
    expect(await job.send("", { sender: "first" })).toBe(6);
    expect(await job.send("", { sender: "other-0" })).toBe(0);
    const gone = job.send("x", { sender: "other-0", offset: 1 });
    await expect(gone).rejects.toMatchObject({ reason: "OFFSET_OUT_OF_RANGE" });
  });

  test("what is closed can be closed again", async () => {
    for (const pty of [false, true]) {
      const job = await start(["sh", "-c", "cat; sleep 1000"], { pty });
      await job.send("abc", { close: true });
      expect(await job.send("", { sender: "other", close: true })).toBe(0);
      expect(await job.send("", { close: true })).toBe(3);
      expect(await job.send("abc", { offset: 0, close: true })).toBe(3);
      const end = pty ? "\x04\x04" : "";
      expect(readFileSync(join(job.dir.path, "stdin.log"), "utf8")).toBe(`abc${end}`);
    }
  });

  test("a terminal's end that was taken, and not noted, is not given again", async () => {
    const job = await start(["sh", "-c", "cat; cat; sleep 1000"], { pty: true });
    await job.send("abc\n", { close: true });
    rmSync(join(job.dir.path, "stdin.closed"));
    await expect(job.send("d")).rejects.toMatchObject({ reason: "INPUT_NOT_OPEN" });
    expect(await job.send("abc\n", { offset: 0, close: true })).toBe(4);
    expect(existsSync(join(job.dir.path, "stdin.closed"))).toBe(true);
    expect(readFileSync(join(job.dir.path, "stdin.log"), "utf8")).toBe("abc\n\x04");
  });

  test("more than a job can have is refused, and can be closed", async () => {
    const job = await start(["sleep", "1000"]);
    truncateSync(join(job.dir.path, "stdin.log"), 16 * 1024 * MIB);
    await expect(job.send("x")).rejects.toMatchObject({ reason: "INPUT_LIMIT" });
    expect(await job.send("", { close: true })).toBe(0);
  });

  test("nothing comes after the end", async () => {
    const job = await start(["sh", "-c", "cat; sleep 1000"]);
    await job.send("abc", { close: true });
    const error = { reason: "INPUT_NOT_OPEN", message: expect.stringContaining("closed") };
    await expect(job.send("d")).rejects.toMatchObject(error);
    await expect(job.send("d", { offset: 3, close: true })).rejects.toMatchObject(error);
    await expect(job.send("d", { sender: "other" })).rejects.toMatchObject(error);
    await eventually("the output", () => job.log() === "abc");
  });

  test("a command that has closed its input has it closed", async () => {
    const job = await start(["sh", "-c", "read x; echo $x; exec <&-; sleep 1000"]);
    await job.send("a\n");
    await eventually("the output", () => job.log() === "a\n");
    // What is written first tells the feeder.
    await eventually("the error", () =>
      job.send("b\n").then(
        () => false,
        (error: { reason: string }) => error.reason === "INPUT_NOT_OPEN",
      ),
    );
    expect(isRunning(job)).toBe(true);
  });

  test("signals to the job's group do not end its input", async () => {
    const caught = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM"];
    const signals = [...caught, "PIPE", "IO", "VTALRM", "PROF"];
    const job = await start(["sh", "-c", `trap '' ${signals.join(" ")}; echo ready; exec cat`]);
    await eventually("the traps", () => job.log() === "ready\n");
    for (const signal of caught) {
      process.kill(-(job.child.pid as number), `SIG${signal}` as NodeJS.Signals);
    }
    // The runner would not outlive these: they go to the others, as the engine sends them.
    const group = processTable().all();
    for (const { groupId, pid } of group) {
      if (groupId !== job.child.pid || pid === job.child.pid) continue;
      for (const signal of signals.slice(caught.length))
        process.kill(pid, `SIG${signal}` as NodeJS.Signals);
    }
    await job.send("still\n", { close: true });
    expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
    expect(job.log()).toBe("ready\nstill\n");
  });

  test("a command gets no descriptor but its streams", async () => {
    const job = await start(["ls", "-l", "/proc/self/fd"]);
    await job.ended;
    const targets = job
      .log()
      .split("\n")
      .flatMap((line) => /(\d+ -> .*)$/.exec(line)?.[1] ?? [])
      .filter((target) => target.includes(job.dir.path) || target.includes(".sh"));
    expect(targets).toEqual([
      `0 -> ${job.dir.path}/stdin.fifo`,
      `1 -> ${job.dir.path}/stdout.log`,
      `2 -> ${job.dir.path}/stderr.log`,
    ]);
  });

  test("its files are private", async () => {
    const job = await start(["true"]);
    await job.ended;
    for (const name of ["stdin.fifo", "stdin.bell", "stdin.feeder"]) {
      expect(statSync(join(job.dir.path, name)).mode & 0o777, name).toBe(0o600);
    }
  });

  test("the feeder ends with the job, politely ended too", async () => {
    const job = await start(["sleep", "1000"]);
    const pid = Number(readFileSync(join(job.dir.path, "stdin.feeder"), "utf8"));
    const feeder = processTable().lookup(pid);
    expect(feeder).toMatchObject({ sessionId: job.child.pid });
    const began = performance.now();
    await stopJob(job, 60_000);
    // Not by force: that would come a minute later.
    expect(performance.now() - began).toBeLessThan(50_000);
    expect(await exitOf(job)).toMatchObject({ signal: "SIGTERM" });
    await eventually("the feeder's end", () => processTable().lookup(pid)?.zombie ?? true);
  });

  test("a killed runner ends the input; nothing is left running for it", async () => {
    const job = await start(["sh", "-c", "cat; echo end"]);
    await job.send("a");
    await eventually("the output", () => job.log() === "a");
    process.kill(job.identity.runner.pid, "SIGKILL");
    await eventually("the end", () => job.log() === "aend\n");
    await eventually("its last process", () => !processTable().hasArgument(job.dir.path));
    await expect(job.send("b")).rejects.toMatchObject({ reason: "INPUT_NOT_OPEN" });
  });

  test("callers wait for room at once, each no longer than the timeout, and a query not at all", async () => {
    const job = await start(["sleep", "1000"], {}, { roomTimeoutMs: 1000 });
    await job.send(Buffer.alloc(MIB));
    await job.send(Buffer.alloc(MIB));
    const began = performance.now();
    const waiting = [1, 2, 3, 4].map((n) =>
      expect(job.send(Buffer.alloc(MIB), { sender: `${n}` })).rejects.toMatchObject({
        reason: "INPUT_BACKLOG",
      }),
    );
    expect(await job.send("")).toBe(2 * MIB);
    expect(performance.now() - began).toBeLessThan(1000);
    await Promise.all(waiting);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test("with much that is not read a call waits for room, and gives up", async () => {
    const job = await start(
      ["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; exec wc -c"],
      {},
      { roomTimeoutMs: 50 },
    );
    let offset = 0;
    const refused = await eventually("no room", async () => {
      try {
        offset = await job.send(Buffer.alloc(MIB), { offset });
        return undefined;
      } catch (error) {
        return error as Error;
      }
    });
    expect(refused).toMatchObject({ reason: "INPUT_BACKLOG" });
    expect(offset).toBeLessThan(7 * MIB);
    expect(await job.send("")).toBe(offset);
    // One that has gone meanwhile has sent nothing.
    const patient = new JobInput(job.dir);
    const leave = new AbortController();
    const sending = patient.send(
      { sender: "", offset, data: Buffer.alloc(MIB), close: false },
      false,
      leave.signal,
    );
    leave.abort(new Error("left"));
    await expect(sending).rejects.toThrow("left");
    expect(statSync(join(job.dir.path, "stdin.log")).size).toBe(offset);
    const waiting = patient.send(
      { sender: "", offset, data: Buffer.alloc(MIB), close: true },
      false,
      never,
    );
    writeFileSync(join(job.dir.path, "go"), "");
    expect(await waiting).toBe(offset + MIB);
    await job.ended;
    expect(job.log()).toBe(`${offset + MIB}\n`);
  });

  test("pieces that are sent at once are taken one after another", async () => {
    const job = await start(["sort", "-n"]);
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    await Promise.all(numbers.map((n) => job.send(`${n}\n`)));
    await job.send("", { close: true });
    await job.ended;
    expect(job.log()).toBe(numbers.map((n) => `${n}\n`).join(""));
  });

  test("a server that died before it rang has its successor ring", async () => {
    const job = await start(["cat"]);
    writeFileSync(join(job.dir.path, "stdin.log"), "abc");
    writeFileSync(join(job.dir.path, "stdin.senders"), "0 3 0\n0 \n");
    writeFileSync(join(job.dir.path, "stdin.closed"), "");
    expect(isAlive(job.identity.bootId, job.identity.command)).toBe(true);
    expect(await job.send("abc", { offset: 0, close: true })).toBe(3);
    await job.ended;
    expect(job.log()).toBe("abc");
  });
});
