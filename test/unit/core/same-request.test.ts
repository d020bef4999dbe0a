import { describe, expect, test } from "vitest";
import type { StartOptions } from "../../../src/contract/procman.js";
import type { ManagedJob } from "../../../src/core/managed-job.js";
import { StartRequests } from "../../../src/core/start-requests.js";
import { type RequestedSpec, requestedSpec } from "../../../src/core/validate.js";

/** Every option, none of it the default: the type asks for each. */
const OPTIONS: Required<Omit<StartOptions, "signal">> = {
  command: "make",
  args: ["-k"],
  env: { A: "1" },
  clearEnv: true,
  workDir: "/x",
  labels: { l: "v" },
  requestId: "once",
  mergeOutput: true,
  // "pipe" is refused with pty.
  output: "file",
  timeoutMs: 1500,
  leaseMs: 30_000,
  logLimitBytes: 100_000,
  pty: true,
  windowSize: { rows: 50, columns: 132 },
  stdin: true,
  name: "web",
  ifRunning: "return",
  umask: 0o027,
  nice: 5,
  softLimits: { nofile: 1024, core: -1 },
  endRemaining: true,
  limits: { memoryMaxBytes: 2 ** 30, cpus: 1.5, pidsMax: 100, openFilesMax: 1024 },
  onEnd: { command: "mail", args: ["me"], timeoutMs: 1000 },
};

/** With what only a Restart asks for. */
const SPEC = { ...requestedSpec(OPTIONS, "/"), previousId: "job0" };

/** Another value of the same type. */
function otherThan(value: unknown): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return value + 1;
  if (typeof value === "string") return `${value}2`;
  if (Array.isArray(value)) return [...(value as unknown[]), "2"];
  const entries = Object.entries(value as object);
  return Object.fromEntries(entries.map(([key, each]) => [key, otherThan(each)]));
}

function startedAgain(): Promise<ManagedJob> {
  throw new Error("it was started again");
}

/** What becomes of a request that comes after `first`, with the same request_id. */
async function answerAfter(first: RequestedSpec, second: RequestedSpec): Promise<string> {
  const job = { record: { spec: first } } as ManagedJob;
  const requests = new StartRequests(() => job);
  requests.remember(first.requestId, "job1");
  try {
    return (await requests.once(second, startedAgain)) === job ? "the same job" : "another job";
  } catch (error) {
    return (error as { reason: string }).reason;
  }
}

test("the same request is answered with the same job, also when it comes from a record", async () => {
  const { previousId: _, ...started } = SPEC;
  expect(await answerAfter(started, requestedSpec(structuredClone(OPTIONS), "/"))).toBe(
    "the same job",
  );
  expect(await answerAfter({ ...SPEC, id: "a" } as RequestedSpec, SPEC)).toBe("the same job");
});

describe("a request with the same id that differs in one field only", () => {
  const fields = Object.entries(SPEC).filter(([name]) => name !== "requestId");

  test.each(fields)("%s", async (name, value) => {
    const other = { ...SPEC, [name]: otherThan(value) };
    // The same command from another window is the same request.
    const expected = name === "windowSize" ? "the same job" : "REQUEST_ID_CONFLICT";
    expect(await answerAfter(SPEC, other)).toBe(expected);
    expect(await answerAfter(other, SPEC)).toBe(expected);
  });

  test.each(fields.filter(([name]) => !Object.hasOwn(requestedSpec({ command: "x" }, "/"), name)))(
    "%s, which one of the two does not have",
    async (name) => {
      const { [name as "timeoutMs"]: _, ...without } = SPEC;
      const expected = name === "windowSize" ? "the same job" : "REQUEST_ID_CONFLICT";
      expect(await answerAfter(SPEC, without)).toBe(expected);
      expect(await answerAfter(without, SPEC)).toBe(expected);
    },
  );

  test("in a part of a field", async () => {
    for (const other of [
      { ...SPEC, env: { A: "2" } },
      { ...SPEC, env: { B: "1" } },
      { ...SPEC, env: {} },
      { ...SPEC, labels: { l: "w" } },
      { ...SPEC, args: [] },
      { ...SPEC, args: ["-k", ""] },
    ]) {
      expect(await answerAfter(SPEC, other)).toBe("REQUEST_ID_CONFLICT");
    }
  });
});
