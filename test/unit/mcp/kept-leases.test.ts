import { describe, expect, onTestFinished, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { Job } from "../../../src/contract/job.js";
import type { Procman } from "../../../src/contract/procman.js";
import { KeptLeases } from "../../../src/mcp/kept-leases.js";
import { eventually } from "../../helpers/eventually.js";
import { runningJob } from "../client/some-job.js";

const leased = (id: string, more: Partial<Job> = {}) => runningJob({ id, leaseMs: 60, ...more });

/** @param answer what the server says to a renewal, the n-th from 1 on */
function keeping(answer: (id: string, n: number) => Job) {
  const closed = new AbortController();
  onTestFinished(() => closed.abort());
  const renewed: string[] = [];
  const warnings: string[] = [];
  const renewLease = async (id: string) => {
    renewed.push(id);
    return answer(id, renewed.length);
  };
  const once = <T>(act: (client: Procman) => Promise<T>) => act({ renewLease } as never);
  const host = { warn: (message: string) => void warnings.push(message) };
  const leases = new KeptLeases({ once }, host, closed.signal);
  return { leases, closed, renewed, warnings };
}

describe("a lease", () => {
  test("is renewed until this process ends, and by one renewal each", async () => {
    const { leases, closed, renewed, warnings } = keeping((id) => leased(id));
    leases.keep(leased("a"));
    leases.keep(leased("a"));
    leases.keep(runningJob({ id: "without" }));
    expect(renewed).toEqual(["a"]);
    await eventually("more", () => renewed.length > 3);
    closed.abort();
    expect(new Set(renewed)).toEqual(new Set(["a"]));
    expect(warnings).toEqual([]);
  });

  test("goes on over a server that is away, or that cannot be started", async () => {
    const { leases, renewed, warnings } = keeping((id, n) => {
      if (n === 1) throw new ProcmanError("UNREACHABLE", "it is away");
      if (n === 2) throw new Error("the server did not start");
      return leased(id);
    });
    leases.keep(leased("a"));
    await eventually("renewals", () => renewed.length > 3);
    expect(warnings).toEqual([]);
  });

  test("of a job that has ended is let go; any other failure is told", async () => {
    const { leases, renewed, warnings } = keeping((id) => {
      throw new ProcmanError(id === "a" ? "JOB_NOT_RUNNING" : "NO_LEASE", `${id} has none`);
    });
    leases.keep(leased("a"));
    leases.keep(leased("b"));
    await eventually("the warning", () => warnings.length > 0);
    expect(warnings).toEqual(["the lease of job b is not renewed any more: b has none"]);
    expect(renewed).toEqual(["a", "b"]);
  });

  test("of a job that was restarted is kept where the one before was", async () => {
    const { leases, renewed } = keeping(() => {
      throw new ProcmanError("JOB_NOT_RUNNING", "it has ended");
    });
    leases.keep(leased("a"));
    leases.keepRestarted(leased("b", { previousId: "a" }));
    leases.keepRestarted(leased("c", { previousId: "b" }));
    leases.keepRestarted(leased("y", { previousId: "x" }));
    expect(renewed).toEqual(["a", "b", "c"]);
  });
});
