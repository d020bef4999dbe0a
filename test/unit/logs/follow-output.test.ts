import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import type { OutputChunk } from "../../../src/contract/procman.js";
import type { Stream } from "../../../src/contract/job.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import { eventually } from "../../helpers/eventually.js";
import { eventLoopTurn } from "./event-loop-turn.js";
import { CountedWatches } from "./held-resources.js";
import { Collected, collect, JobLogs } from "./job-logs.js";
import { NO_POLLING, newOutput } from "./new-output.js";

const BOTH = { stdout: 0, stderr: 0 };
const HUNDRED_MB = 100_000_000;

describe("a log written by another process", () => {
  test("100 MB come as they were written", async () => {
    const logs = JobLogs.started();
    const child = command(logs, `head -c ${HUNDRED_MB} /dev/urandom`);
    const got = await collect(
      newOutput()
        .open(logs.dir)
        .chunks(BOTH, { ended: endOf(child) }),
    );
    expect(got.size("stdout")).toBe(HUNDRED_MB);
    expect(hash(got.bytes("stdout"))).toBe(hash(logs.read("stdout")));
  });

  test("so do two streams at once, in bursts", async () => {
    const logs = JobLogs.started();
    const child = command(
      logs,
      "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 300000 /dev/urandom; head -c 200001 /dev/urandom >&2; sleep 0.02; done",
    );
    const got = await collect(
      newOutput()
        .open(logs.dir)
        .chunks(BOTH, { ended: endOf(child) }),
    );
    expect(got.size("stdout")).toBe(3_000_000);
    expect(got.size("stderr")).toBe(2_000_010);
    for (const stream of ["stdout", "stderr"] as const) {
      expect(got.bytes(stream).equals(logs.read(stream))).toBe(true);
    }
  });

  test("a follower that joins late gets all of it too", async () => {
    const logs = JobLogs.started();
    const child = command(logs, `head -c ${HUNDRED_MB / 4} /dev/urandom`);
    const ended = endOf(child);
    const output = newOutput();
    const late: Promise<Collected>[] = [];
    const first = new Collected();
    for await (const chunk of output.open(logs.dir).chunks(BOTH, { ended })) {
      first.add(chunk);
      if (late.length < Math.floor(chunk.offset / 5_000_000)) {
        late.push(collect(output.open(logs.dir).chunks(BOTH, { ended })));
        late.push(
          collect(
            output.open(logs.dir).chunks({ stdout: chunk.offset }, { ended }),
            new Collected({ stdout: chunk.offset }),
          ),
        );
      }
    }
    expect(late.length).toBeGreaterThan(0);
    const whole = logs.read("stdout");
    for (const got of [first, ...(await Promise.all(late))]) {
      const bytes = got.bytes("stdout");
      expect(bytes.equals(whole.subarray(whole.length - bytes.length))).toBe(true);
    }
  });

  test("lines come while it is written", async () => {
    const logs = JobLogs.started();
    const child = command(logs, "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done");
    const lines = [];
    for await (const line of newOutput()
      .open(logs.dir)
      .lines(BOTH, { ended: endOf(child) })) {
      lines.push(line.text);
    }
    expect(lines).toEqual(Array.from({ length: 2000 }, (_, i) => `line ${i}`));
  });
});

describe("what is appended", () => {
  test("arrives at once, and is not waited for otherwise", async () => {
    const logs = JobLogs.started();
    const chunks = newOutput().open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    for (const [stream, text] of [
      ["stdout", "one"],
      ["stderr", "two"],
      ["stdout", "three"],
    ] as const) {
      const next = chunks.next();
      logs.append(stream, text);
      const chunk: OutputChunk | undefined = (await next).value ?? undefined;
      expect([chunk?.stream, Buffer.from(chunk?.data ?? []).toString()]).toEqual([stream, text]);
    }
    await chunks.return();
  });

  test("to a log that was not there when following began arrives as well", async () => {
    const logs = new JobLogs();
    const watches = new CountedWatches();
    const output = newOutput({ ...NO_POLLING, watch: watches.watch });
    const chunks = output.open(logs.dir).chunks(BOTH, { ended: new AbortController().signal });
    const first = chunks.next();
    await eventually("the directory to be watched for both", () => watches.open === 2);
    expect(watches.made).toEqual([logs.dir.path, logs.dir.path]);
    logs.append("stdout", "first");
    expect(Buffer.from((await first).value?.data ?? []).toString()).toBe("first");

    const second = chunks.next();
    logs.append("stdout", "second");
    expect(Buffer.from((await second).value?.data ?? []).toString()).toBe("second");
    expect(watches.made).toEqual([logs.dir.path, logs.dir.path, logs.path("stdout")]);
    expect(watches.open).toBe(2);
    await chunks.return();
  });

  test("neither stream waits for the other to be through", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", Buffer.alloc(50 * CHUNK_BYTES));
    const ended = new AbortController();
    const seen: Stream[] = [];
    for await (const { stream } of newOutput()
      .open(logs.dir)
      .chunks(BOTH, { ended: ended.signal })) {
      seen.push(stream);
      if (seen.length === 5) logs.append("stderr", "x");
      // The kernel's word comes with the event loop's next turn.
      await eventLoopTurn();
      if (seen.length === 51) ended.abort();
    }
    expect(seen).toHaveLength(51);
    expect(seen.indexOf("stderr")).toBeLessThan(45);
  });

  test("is the same for all followers, wherever and whenever they begin and however slow they are", async () => {
    const follower = fc.record({
      back: fc.oneof(fc.nat(2 * CHUNK_BYTES), fc.nat(20 * CHUNK_BYTES)),
      turns: fc.nat(4),
      transientData: fc.boolean(),
    });
    const step = fc.record({
      followers: fc.array(follower, { maxLength: 3 }),
      stream: fc.constantFrom<Stream>("stdout", "stderr"),
      length: fc.oneof(fc.nat(100), fc.nat(3 * CHUNK_BYTES)),
      turns: fc.nat(6),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        async (steps, endsSuddenly) => {
          const logs = JobLogs.started();
          const output = newOutput();
          const ended = new AbortController();
          const followed: { got: Collected; done: Promise<Collected> }[] = [];
          for (const [i, { followers, stream, length, turns }] of steps.entries()) {
            for (const { back, turns, transientData } of followers) {
              const from = { stdout: Math.max(0, logs.read("stdout").length - back), stderr: 0 };
              const options = { ended: ended.signal, transientData };
              const chunks = output.open(logs.dir).chunks(from, options);
              const got = new Collected(from);
              followed.push({ got, done: collectSlowly(chunks, got, turns) });
            }
            logs.append(stream, Buffer.alloc(length, `${i},`));
            for (let turn = 0; turn < turns; turn += 1) await eventLoopTurn();
          }
          const sizes = [logs.read("stdout").length, logs.read("stderr").length];
          if (endsSuddenly) ended.abort();
          await eventually("all to arrive before the end", () =>
            followed.every(
              ({ got }) => got.end("stdout") === sizes[0] && got.end("stderr") === sizes[1],
            ),
          );
          ended.abort();
          for (const { done } of followed) {
            const got = await done;
            for (const stream of ["stdout", "stderr"] as const) {
              const whole = logs.read(stream);
              const bytes = got.bytes(stream);
              expect(bytes.equals(whole.subarray(whole.length - bytes.length))).toBe(true);
            }
          }
          await output.close();
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** A command with its output in the job's logs, as a runner starts it. */
function command(logs: JobLogs, script: string): ChildProcess {
  const [out, err] = [openSync(logs.path("stdout"), "a"), openSync(logs.path("stderr"), "a")];
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", out, err] });
  closeSync(out);
  closeSync(err);
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** What the job's manager does: the job has ended once its command has. */
function endOf(child: ChildProcess): AbortSignal {
  const ended = new AbortController();
  child.once("exit", () => ended.abort());
  return ended.signal;
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function collectSlowly(
  chunks: AsyncIterable<OutputChunk>,
  into: Collected,
  turns: number,
): Promise<Collected> {
  for await (const chunk of chunks) {
    for (let turn = 0; turn < turns; turn += 1) await eventLoopTurn();
    // Its memory may be another chunk's from the next one on.
    into.add({ ...chunk, data: Buffer.from(chunk.data) });
  }
  return into;
}
