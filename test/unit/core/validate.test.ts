import { describe, expect, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import { MAX_LABELS_BYTES } from "../../../src/contract/listed-job.js";
import { MAX_INPUT_PIECE_BYTES } from "../../../src/contract/job.js";
import type { SendInputOptions, StartOptions } from "../../../src/contract/procman.js";
import {
  logLimitFault,
  requestedSpec,
  validDuration,
  validInputPiece,
  validOutputEnds,
  validOutputSize,
  validPageSize,
  validPort,
  validRequestId,
  validSelection,
  validWindowSize,
} from "../../../src/core/validate.js";

/** What is wrong, as "field: description". */
function faultsOf(validate: () => unknown): string[] {
  try {
    validate();
    return [];
  } catch (error) {
    if (!(error instanceof ProcmanError)) throw error;
    expect(error.reason).toBe("INVALID_ARGUMENT");
    const faults = error.violations.map(({ field, description }) => `${field}: ${description}`);
    expect(error.message).toBe(faults.join("; "));
    return faults;
  }
}

const start = (options: Partial<StartOptions>) =>
  requestedSpec({ command: "true", ...options }, "/srv");

describe("a Start", () => {
  test("of nothing but a command has the defaults", () => {
    expect(start({})).toEqual({
      requestId: "",
      command: "true",
      args: [],
      env: {},
      clearEnv: false,
      workDir: "/srv",
      labels: {},
      mergeOutput: false,
      output: "file",
      pty: false,
      stdin: false,
    });
    expect(start({ workDir: "" }).workDir).toBe("/srv");
    expect(start({ logLimitBytes: 0 })).not.toHaveProperty("logLimitBytes");
    expect(start({ softLimits: {} })).not.toHaveProperty("softLimits");
    expect(start({ onEnd: { command: "mail" } })).toMatchObject({
      onEnd: { command: "mail", args: [], timeoutMs: 60_000 },
    });
    expect(start({ endRemaining: false })).not.toHaveProperty("endRemaining");
    expect(start({ endRemaining: true })).toHaveProperty("endRemaining", true);
    expect(start({ limits: {} })).not.toHaveProperty("limits");
  });

  test("of everything has what was asked for", () => {
    const options = {
      requestId: "r",
      command: "run",
      args: ["", "a b"],
      env: { A: "1", "b.c": "" },
      clearEnv: true,
      workDir: "/tmp",
      labels: { team: "x", empty: "" },
      mergeOutput: true,
      output: "file" as const,
      timeoutMs: 0.5,
      logLimitBytes: 65_536,
      pty: true,
      windowSize: { rows: 1, columns: 65_535 },
      stdin: true,
      umask: 0o777,
      nice: -20,
      softLimits: { core: -1, nofile: 0 },
      limits: { memoryMaxBytes: 1_048_576, cpus: 0.01, pidsMax: 1, openFilesMax: 8 },
    };
    expect(start(options)).toEqual(options);
    const most = { cpus: 10_000, pidsMax: 4_194_304, openFilesMax: 2 ** 30 };
    expect(start({ limits: most }).limits).toEqual(most);
    expect(start({ mergeOutput: true }).mergeOutput).toBe(true);
    expect(start({ output: "pipe" }).output).toBe("pipe");
  });

  test("is not changed by what the caller does with its lists afterwards", () => {
    const options = { args: ["a"], env: { A: "1" }, labels: { l: "1" } };
    const spec = start(options);
    options.args.push("b");
    options.env.A = "2";
    options.labels.l = "2";
    expect(spec).toMatchObject({ args: ["a"], env: { A: "1" }, labels: { l: "1" } });
  });

  test("with a terminal has one output, and a terminal's usual size", () => {
    expect(start({ pty: true })).toMatchObject({
      pty: true,
      mergeOutput: true,
      windowSize: { rows: 24, columns: 80 },
    });
  });

  test.each([
    [{ command: "" }, "command: must not be empty"],
    [{ command: "a\0" }, "command: must not contain a NUL byte"],
    [{ command: 7 as never }, "command: must be a string"],
    [{ args: ["a", "\0"] }, "args[1]: must not contain a NUL byte"],
    [{ args: [null as never] }, "args[0]: must be a string"],
    [{ env: { A: "x\0y" } }, 'env["A"]: must not contain a NUL byte'],
    [{ env: { "": "" } }, 'env: "" is not a variable name'],
    [{ env: { "A=B": "" } }, 'env: "A=B" is not a variable name'],
    [{ env: { "A\0": "" } }, 'env: "A\\u0000" is not a variable name'],
    [{ labels: { "": "x" } }, "labels: a key must not be empty"],
    [{ workDir: "tmp" }, "work_dir: must be an absolute path"],
    [{ workDir: "/a\0" }, "work_dir: must not contain a NUL byte"],
    [{ requestId: "é".repeat(513) }, "request_id: must not be longer than 1024 bytes"],
    [{ timeoutMs: 0 }, "timeout: must be positive"],
    [{ timeoutMs: -1 }, "timeout: must be positive"],
    [{ timeoutMs: Infinity }, "timeout: must be positive"],
    [{ timeoutMs: Number.NaN }, "timeout: must be positive"],
    [{ leaseMs: 0 }, "lease: must be positive"],
    [{ leaseMs: -1 }, "lease: must be positive"],
    [{ leaseMs: Infinity }, "lease: must be positive"],
    [{ leaseMs: Number.NaN }, "lease: must be positive"],
    [{ logLimitBytes: 65_535 }, "log_limit_bytes: must be at least 65536"],
    [{ umask: 0o1000 }, "umask: must be from 0 to 0777"],
    [{ umask: "022" as never }, "umask: must be from 0 to 0777"],
    [{ nice: 20 }, "nice: must be a whole number from -20 to 19"],
    [{ nice: -21 }, "nice: must be a whole number from -20 to 19"],
    [
      { softLimits: { rss: 1 } as never },
      'soft_limits["rss"]: is no limit; the limits are as, core, cpu, data, fsize, memlock, nofile, nproc, stack',
    ],
    [
      { softLimits: { core: -2 } },
      'soft_limits["core"]: must be a whole number, or -1 for no limit',
    ],
    [
      { limits: { memoryMaxBytes: 1_048_575 } },
      "limits.memory_max_bytes: must be a whole number from 1048576 to 9007199254740991",
    ],
    [{ limits: { cpus: 0.009 } }, "limits.cpus: must be a number from 0.01 to 10000"],
    [{ limits: { cpus: 10_001 } }, "limits.cpus: must be a number from 0.01 to 10000"],
    [{ limits: { cpus: Number.NaN } }, "limits.cpus: must be a number from 0.01 to 10000"],
    [{ limits: { pidsMax: 0 } }, "limits.pids_max: must be a whole number from 1 to 4194304"],
    [
      { limits: { pidsMax: 4_194_305 } },
      "limits.pids_max: must be a whole number from 1 to 4194304",
    ],
    [
      { limits: { openFilesMax: 7 } },
      "limits.open_files_max: must be a whole number from 8 to 1073741824",
    ],
    [
      { limits: { openFilesMax: 2 ** 30 + 1 } },
      "limits.open_files_max: must be a whole number from 8 to 1073741824",
    ],
    [{ onEnd: { command: "" } }, "on_end.command: must not be empty"],
    [{ onEnd: { command: "a\0" } }, "on_end.command: must not contain a NUL byte"],
    [{ onEnd: { command: "a", args: ["b", "\0"] } }, "on_end.args[1]: must not contain a NUL byte"],
    ...[0, -1, 3_600_001, Number.NaN].map(
      (timeoutMs) =>
        [
          { onEnd: { command: "a", timeoutMs } },
          "on_end.timeout: must be positive, and at most one hour",
        ] as [object, string],
    ),
    [{ output: "pipes" as never }, "output: must be one of file, pipe"],
    [{ output: "pipe", pty: true }, "output: is a terminal for a job with pty"],
    [{ windowSize: { rows: 24, columns: 80 } }, "window_size: is only for a job with pty"],
    [
      { pty: true, windowSize: { rows: 0, columns: 80 } },
      "window_size: rows must be a whole number from 1 to 65535",
    ],
  ] as const)("%o is refused: %s", (options, fault) => {
    expect(faultsOf(() => start(options))).toEqual([fault]);
  });

  test("with a request_id as long as can be is taken", () => {
    expect(start({ requestId: "é".repeat(512) }).requestId).toHaveLength(512);
  });

  test("tells of all that is wrong at once", () => {
    expect(faultsOf(() => start({ command: "", workDir: "x", timeoutMs: 0 }))).toEqual([
      "command: must not be empty",
      "work_dir: must be an absolute path",
      "timeout: must be positive",
    ]);
  });
});

test.each([
  [-1, "must not be negative"],
  [1, "must be at least 65536"],
  [65_535, "must be at least 65536"],
  [65_536.5, "must be a whole number below 2^53"],
  [2 ** 53, "must be a whole number below 2^53"],
  [Number.NaN, "must be a whole number below 2^53"],
])("a log limit of %d %s", (bytes, description) => {
  const fault = [`log_limit_bytes: ${description}`];
  expect(faultsOf(() => start({ logLimitBytes: bytes }))).toEqual(fault);
  expect(logLimitFault(bytes)).toBe(description);
});

test("a log limit may be 0, which is none, and from 64 KiB on", () => {
  for (const bytes of [0, 65_536, 2 ** 53 - 1]) expect(logLimitFault(bytes)).toBeUndefined();
});

test("a page has 1 to 1000 jobs, 100 where it is not said", () => {
  expect(validPageSize({})).toBe(100);
  expect(validPageSize({ pageSize: 0 })).toBe(100);
  expect(validPageSize({ pageSize: 1 })).toBe(1);
  expect(validPageSize({ pageSize: 1000 })).toBe(1000);
  for (const pageSize of [-1, 1001, 1.5]) {
    expect(faultsOf(() => validPageSize({ pageSize }))).toEqual([
      "page_size: must be a whole number from 0 to 1000",
    ]);
  }
});

test("a duration is not negative, and at most 10,000 years", () => {
  expect(validDuration("timeout", 0)).toBe(0);
  expect(validDuration("timeout", 1.5)).toBe(1.5);
  expect(validDuration("timeout", Infinity)).toBe(315_576_000_000_000);
  for (const valueMs of [-1, Number.NaN]) {
    expect(faultsOf(() => validDuration("grace_period", valueMs))).toEqual([
      "grace_period: must not be negative",
    ]);
  }
});

describe("a name", () => {
  test.each(["a", "7", "web", "a.b_c-d", `a${"-".repeat(62)}`])("can be %s", (name) => {
    expect(start({ name, ifRunning: "return" }).name).toBe(name);
  });

  test("is none where it is empty", () => {
    expect(start({ name: "" })).not.toHaveProperty("name");
  });

  test.each(["A", "a b", "-a", ".", "_", "é", "a/b", `a${"b".repeat(63)}`, 7 as never])(
    "cannot be %s",
    (name) => {
      expect(faultsOf(() => start({ name }))).toEqual([
        'name: must be 1 to 63 characters of "a-z0-9._-", the first one a letter or a digit',
      ]);
    },
  );

  test("is what if_running is for", () => {
    expect(faultsOf(() => start({ ifRunning: "fail" }))).toEqual([
      "if_running: is only for a job with a name",
    ]);
    expect(faultsOf(() => start({ name: "a", ifRunning: "stop" as never }))).toEqual([
      "if_running: must be one of fail, return",
    ]);
  });
});

test("a request_id has at most 1024 bytes", () => {
  expect(validRequestId("é".repeat(512))).toBe("é".repeat(512));
  expect(faultsOf(() => validRequestId("é".repeat(513)))).toEqual([
    "request_id: must not be longer than 1024 bytes",
  ]);
});

test("a port is 0 to 65535", () => {
  expect(validPort(0)).toBe(0);
  expect(validPort(65_535)).toBe(65_535);
  for (const port of [-1, 65_536, 1.5]) {
    expect(faultsOf(() => validPort(port))).toEqual([
      "port: must be a whole number from 0 to 65535",
    ]);
  }
});

test("a window's sides are 1 to 65535", () => {
  const size = { rows: 1, columns: 65_535 };
  expect(validWindowSize(size)).toEqual(size);
  expect(faultsOf(() => validWindowSize({ rows: 65_536, columns: 0 }))).toEqual([
    "window_size: rows must be a whole number from 1 to 65535",
    "window_size: columns must be a whole number from 1 to 65535",
  ]);
});

describe("a piece of input", () => {
  test("of nothing only asks how far the sender has come", () => {
    expect(validInputPiece({})).toEqual({ sender: "", data: new Uint8Array(), close: false });
  });

  test.each([
    ["-_.:", 0],
    ["aZ09", 1],
    ["x".repeat(64), 2 ** 53 - 1],
  ])("from %j at %i has what was asked for", (sender, offset) => {
    const piece = { sender, offset, data: Buffer.from("hello"), close: true };
    expect(validInputPiece(piece)).toEqual(piece);
  });

  test("has at most 1 MiB", () => {
    const data = new Uint8Array(MAX_INPUT_PIECE_BYTES);
    expect(validInputPiece({ data }).data).toBe(data);
    expect(
      faultsOf(() => validInputPiece({ data: new Uint8Array(MAX_INPUT_PIECE_BYTES + 1) })),
    ).toEqual(["data: must not be longer than 1048576 bytes"]);
  });

  const sender = 'sender: must be at most 64 letters, digits and characters of "-_.:"';
  const offset = "offset: must be a whole number from 0 on";
  test.each([
    [{ sender: "x".repeat(65) }, sender],
    [{ sender: "a b" }, sender],
    [{ sender: "é" }, sender],
    [{ sender: 7 as never }, sender],
    [{ offset: -1 }, offset],
    [{ offset: 0.5 }, offset],
    [{ offset: 2 ** 53 }, offset],
  ] satisfies [SendInputOptions, string][])("%o is refused: %s", (options, fault) => {
    expect(faultsOf(() => validInputPiece(options))).toEqual([fault]);
  });
});

describe("a bounded output", () => {
  test("has 64 KiB, where nothing is said", () => {
    expect(validOutputSize({})).toBe(65_536);
    expect(validOutputSize({ maxBytes: 0 })).toBe(65_536);
  });

  test.each([1, 65_537, 262_144])("may have %d bytes", (maxBytes) => {
    expect(validOutputSize({ maxBytes })).toBe(maxBytes);
  });

  test.each([-1, 262_145, 0.5, Number.NaN])("may not have %d", (maxBytes) => {
    expect(() => validOutputSize({ maxBytes })).toThrow(
      "max_bytes: must be a whole number from 0 to 262144",
    );
  });

  test("is of both ends, where nothing is said, or of one", () => {
    expect(validOutputEnds({})).toBe("both");
    for (const ends of ["both", "head", "tail"] as const) {
      expect(validOutputEnds({ ends })).toBe(ends);
    }
    const wrong = { ends: "middle" as never };
    expect(() => validOutputEnds(wrong)).toThrow("ends: must be one of both, head, tail");
  });
});

describe("a selection of jobs", () => {
  test.each([
    { ids: ["a", "b"] },
    { ids: Array.from({ length: 10_000 }, (_, index) => `job${index}`) },
    { statuses: ["running"] },
    { labels: { team: "ml" } },
    { name: "web" },
    { all: true },
    { all: true, statuses: ["failed"], labels: { a: "b" }, name: "web" },
  ] as const)("is by ids, by filters, or of all jobs (%#)", (selection) => {
    expect(validSelection(selection)).toEqual(selection);
  });

  test.each([
    [{}, "selection: must have ids, filters or all"],
    [
      { ids: [], statuses: [], labels: {}, name: "", all: false },
      "selection: must have ids, filters or all",
    ],
    [{ ids: ["a", ""] }, "selection.ids: must not be empty"],
    [{ ids: ["a"], all: true }, "selection: must have either ids or filters"],
    [{ ids: ["a"], statuses: ["running"] }, "selection: must have either ids or filters"],
    [{ ids: ["a"], labels: { a: "b" } }, "selection: must have either ids or filters"],
    [{ ids: ["a"], name: "web" }, "selection: must have either ids or filters"],
    [
      { ids: Array.from({ length: 10_001 }, () => "a") },
      "selection.ids: must not be more than 10000",
    ],
  ] as const)("is not one of these (%#)", (selection, fault) => {
    expect(faultsOf(() => validSelection(selection))).toEqual([fault]);
  });
});

test("labels have a length in bytes that all of them share", () => {
  const half = MAX_LABELS_BYTES / 2;
  const labels = { é: "x".repeat(half - 2), y: "z".repeat(half - 1) };
  expect(start({ labels }).labels).toEqual(labels);
  const longer = { ...labels, y: "z".repeat(half) };
  const fault = `labels: must not be longer than ${MAX_LABELS_BYTES} bytes in all`;
  expect(faultsOf(() => start({ labels: longer }))).toEqual([fault]);
});
