import { statSync, truncateSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { FirstOffsetStore, FirstOffsets } from "../../../src/core/ports.js";
import { newPlaces } from "../../../src/logs/reading/log-place.js";
import { LogTrimmer } from "../../../src/logs/retention/log-trimmer.js";
import { punchHole } from "../../../src/logs/retention/punch-hole.js";
import { numberedBytes } from "../../helpers/numbered-lines.js";
import { JobLogs } from "./job-logs.js";

const LINE_BYTES = 16;
const LIMIT = 4 * LINE_BYTES;
const MIB = 1024 * 1024;

/** A trimmer whose store and holes the test plays. */
class Trimmed {
  readonly logs = JobLogs.started();
  recorded: FirstOffsets | undefined = { stdout: 0, stderr: 0 };
  /** What it did, in order. */
  readonly steps: string[] = [];
  /** Throws where a step is to fail. */
  onStep = (_step: "read" | "write" | "punch"): void => {};
  readonly trimmer: LogTrimmer;
  readonly #store: FirstOffsetStore = {
    read: async () => {
      this.onStep("read");
      return this.recorded;
    },
    write: async (_dir, offsets) => {
      const { stdout, stderr } = await this.trimmer.starts();
      this.steps.push(`record ${offsets.stdout} ${offsets.stderr}`);
      this.steps.push(`readers know ${stdout.firstOffset} ${stderr.firstOffset}`);
      this.onStep("write");
      this.recorded = offsets;
    },
  };

  constructor(limitBytes = LIMIT) {
    this.trimmer = new LogTrimmer({
      places: newPlaces(),
      dir: this.logs.dir,
      limitBytes,
      firstOffsets: this.#store,
      punch: async (path, length) => {
        const { stdout, stderr } = await this.trimmer.starts();
        this.steps.push(`readers know ${stdout.firstOffset} ${stderr.firstOffset}`);
        this.steps.push(`punch ${path.includes("stdout") ? "stdout" : "stderr"} ${length}`);
        this.onStep("punch");
      },
    });
  }

  async firstOffsets(): Promise<[number, number]> {
    const { stdout, stderr } = await this.trimmer.starts();
    return [stdout.firstOffset, stderr.firstOffset];
  }
}

function lines(count: number, from = 0): Buffer {
  return numberedBytes(from * LINE_BYTES, count * LINE_BYTES);
}

describe("a trim", () => {
  test("records where the logs will begin, then tells the readers, then makes the holes", async () => {
    const { logs, steps, trimmer } = new Trimmed();
    logs.append("stdout", lines(10));
    logs.append("stderr", lines(7));
    await trimmer.trim();
    expect(steps).toEqual([
      "record 96 48",
      "readers know 0 0",
      "readers know 96 48",
      "punch stdout 96",
      "readers know 96 48",
      "punch stderr 48",
    ]);
    expect(trimmer.owesHole).toBe(false);
  });

  test.each([
    ["stdout", [96, 0]],
    ["stderr", [0, 96]],
  ] as const)("of %s alone leaves the other log as it is", async (stream, offsets) => {
    const trimmed = new Trimmed();
    trimmed.logs.append(stream, lines(10));
    await trimmed.trimmer.trim();
    expect(await trimmed.firstOffsets()).toEqual(offsets);
    expect(trimmed.steps.filter((step) => step.startsWith("punch"))).toEqual([
      `punch ${stream} 96`,
    ]);
  });

  test("without anything beyond the limit does nothing", async () => {
    const { logs, steps, trimmer } = new Trimmed();
    logs.append("stdout", lines(4));
    await trimmer.trim();
    expect(steps).toEqual([]);
  });

  test.each([
    ["exactly at the limit", LIMIT + LINE_BYTES, LINE_BYTES],
    ["a byte further", LIMIT + LINE_BYTES + 1, LINE_BYTES],
    ["a byte short of it", LIMIT + LINE_BYTES - 1, 0],
  ])("keeps whole lines: where one begins %s", async (_, size, first) => {
    const trimmed = new Trimmed();
    trimmed.logs.append("stdout", numberedBytes(0, size));
    await trimmed.trimmer.trim();
    expect(await trimmed.firstOffsets()).toEqual([first, 0]);
  });

  test("sees what was written since the last measure, and never moves a start back", async () => {
    const trimmed = new Trimmed();
    await trimmed.trimmer.starts();
    trimmed.logs.append("stdout", lines(10));
    await trimmed.trimmer.trim();
    expect(await trimmed.firstOffsets()).toEqual([96, 0]);
    trimmed.logs.append("stdout", lines(1, 10).subarray(0, 5));
    await trimmed.trimmer.trim();
    expect(await trimmed.firstOffsets()).toEqual([96, 0]);
    trimmed.logs.append("stdout", lines(1, 10).subarray(5));
    await trimmed.trimmer.trim();
    expect(await trimmed.firstOffsets()).toEqual([112, 0]);
  });

  test("does not search for a line before where the log begins", async () => {
    const trimmed = new Trimmed();
    trimmed.recorded = { stdout: 90, stderr: 0 };
    trimmed.logs.append("stdout", Buffer.concat([Buffer.alloc(90), Buffer.alloc(80, "x")]));
    await trimmed.trimmer.trim();
    expect(await trimmed.firstOffsets()).toEqual([90, 0]);
  });

  test.each(["write", "punch"] as const)("whose %s fails can be tried again", async (failing) => {
    const trimmed = new Trimmed();
    const { logs, trimmer, steps } = trimmed;
    logs.append("stdout", lines(10));
    trimmed.onStep = (step) => {
      if (step === failing) throw new Error(failing);
    };
    await expect(trimmer.trim()).rejects.toThrow(failing);
    expect(await trimmed.firstOffsets()).toEqual([failing === "write" ? 0 : 96, 0]);
    expect(trimmer.owesHole).toBe(failing === "punch");
    trimmed.onStep = () => {};
    await trimmer.trim();
    expect(steps.at(-1)).toBe("punch stdout 96");
    expect(trimmer.owesHole).toBe(false);
  });
});

describe("a measure", () => {
  test("says whether one of the logs has grown, and by how much the longer one is beyond", async () => {
    const { logs, trimmer } = new Trimmed();
    await trimmer.starts();
    expect([trimmer.measure(), trimmer.excessBytes]).toEqual([false, -LIMIT]);
    logs.append("stdout", "0123456789");
    expect([trimmer.measure(), trimmer.excessBytes]).toEqual([true, 10 - LIMIT]);
    expect(trimmer.measure()).toBe(false);
    logs.append("stderr", lines(5));
    expect([trimmer.measure(), trimmer.excessBytes]).toEqual([true, LINE_BYTES]);
    truncateSync(logs.path("stderr"), 3);
    // What it holds now is new output.
    expect([trimmer.measure(), trimmer.excessBytes]).toEqual([true, 10 - LIMIT]);
  });

  test("counts what is left of a log that was trimmed", async () => {
    const { logs, trimmer } = new Trimmed();
    logs.append("stdout", lines(10));
    await trimmer.trim();
    expect(trimmer.excessBytes).toBe(0);
    logs.append("stdout", "x");
    trimmer.measure();
    expect(trimmer.excessBytes).toBe(1);
  });

  test("finds a log that was truncated to begin where it ended, and to have no hole", async () => {
    const trimmed = new Trimmed();
    const { logs, trimmer, steps } = trimmed;
    logs.append("stdout", lines(100));
    await trimmer.trim();
    truncateSync(logs.path("stdout"), 10);
    trimmer.measure();
    expect(await trimmed.firstOffsets()).toEqual([100 * LINE_BYTES, 0]);
    logs.append("stdout", Buffer.concat([Buffer.from("\n"), lines(10)]));
    await trimmer.trim();
    expect(steps.at(-1)).toBe(`punch stdout ${10 + 1 + 6 * LINE_BYTES}`);
  });
});

describe("after a restart", () => {
  test("the logs begin where that was recorded", async () => {
    const trimmed = new Trimmed();
    trimmed.recorded = { stdout: 32, stderr: 16 };
    for (const stream of ["stdout", "stderr"] as const) trimmed.logs.append(stream, lines(10));
    expect(await trimmed.firstOffsets()).toEqual([32, 16]);
  });

  test("where the record is lost, they begin where they may have been trimmed to", async () => {
    const trimmed = new Trimmed();
    trimmed.recorded = undefined;
    trimmed.logs.append("stdout", lines(10));
    trimmed.logs.append("stderr", lines(3));
    expect(await trimmed.firstOffsets()).toEqual([96, 0]);
  });

  test("a log that is shorter than it was begins at its end", async () => {
    const trimmed = new Trimmed();
    trimmed.recorded = { stdout: 1000, stderr: 0 };
    trimmed.logs.append("stdout", lines(10));
    expect(await trimmed.firstOffsets()).toEqual([160, 0]);
  });

  test("a record that cannot be read is an error, and is read again the next time", async () => {
    const trimmed = new Trimmed();
    trimmed.recorded = { stdout: 32, stderr: 0 };
    trimmed.logs.append("stdout", lines(10));
    trimmed.onStep = () => {
      throw new Error("the disk is away");
    };
    await expect(trimmed.trimmer.starts()).rejects.toThrow("the disk is away");
    trimmed.onStep = () => {};
    expect(await trimmed.firstOffsets()).toEqual([32, 0]);
  });

  test("a hole that was not made is owed, and one that was made is not", async () => {
    const logs = JobLogs.started();
    logs.append("stdout", Buffer.alloc(MIB, "x"));
    const restarted = async () => {
      const trimmer = new LogTrimmer({
        places: newPlaces(),
        dir: logs.dir,
        limitBytes: MIB / 2,
        firstOffsets: { read: async () => ({ stdout: MIB / 2, stderr: 0 }), write: async () => {} },
        punch: async (path, length) => void (await punchHole(path, length)),
      });
      await trimmer.starts();
      return trimmer;
    };
    const trimmer = await restarted();
    expect(trimmer.owesHole).toBe(true);
    await trimmer.trim();
    expect(trimmer.owesHole).toBe(false);
    if (process.platform !== "linux") return;
    expect(statSync(logs.path("stdout")).blocks * 512).toBe(MIB / 2);
    expect((await restarted()).owesHole).toBe(false);
  });
});
