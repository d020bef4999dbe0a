import { expect } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import {
  all,
  failure,
  fails,
  jobOf,
  kill,
  openLogs,
  type Scenario,
  startLong,
  untilOpenLogs,
} from "./scenario.js";

/** How calls begin and end. */
export const CALL_SCENARIOS: readonly Scenario[] = [
  {
    name: "no token, a wrong token",
    needs: "token",
    async run(client) {
      for (const token of ["", "wrong"]) {
        const unary = await failure(client.call("List", {}, { token }));
        const stream = await failure(all(client.stream("WatchJobs", {}, { token })));
        for (const error of [unary, stream]) {
          expect(error).toMatchObject({ reason: "UNAUTHENTICATED", domain: "procman" });
          // Too many wrong ones, as here where all come from one address, are told apart.
          const codes = ["UNAUTHENTICATED", ...(token === "" ? [] : ["RESOURCE_EXHAUSTED"])];
          expect(codes).toContain(error.code);
        }
      }
    },
  },
  {
    name: "a stream opens at once on a silent job, and its client can leave",
    async run(client, { server }) {
      const job = await startLong(client);
      const before = openLogs(server, job.id);
      const leave = new AbortController();
      const request = { id: job.id, follow: true };
      const stream = client.stream("Attach", request, { signal: leave.signal });
      const events = stream[Symbol.asyncIterator]();
      expect((await events.next()).value).toMatchObject({ opened: { job: { id: job.id } } });
      leave.abort();
      await events.next().catch(() => {});
      await untilOpenLogs(server, job.id, before);
      await kill(client, job.id);
    },
  },
  {
    name: "a deadline ends a call and a stream",
    needs: "deadline",
    async run(client, { server }) {
      const job = await startLong(client);
      const before = openLogs(server, job.id);
      const call = await failure(client.call("Wait", { id: job.id }, { deadlineMs: 200 }));
      expect(call.code).toBe("DEADLINE_EXCEEDED");
      const request = { id: job.id, follow: true };
      const stream = await failure(all(client.stream("Attach", request, { deadlineMs: 200 })));
      expect(stream.code).toBe("DEADLINE_EXCEEDED");
      await untilOpenLogs(server, job.id, before);
      await kill(client, job.id);
    },
  },
  {
    name: "a server that shuts down ends streams with UNAVAILABLE, and the job is there afterwards",
    async run(client, stage) {
      const job = await startLong(client);
      const stream = client.stream("Attach", { id: job.id, follow: true });
      const events = stream[Symbol.asyncIterator]();
      await events.next();
      const ending = failure(all({ [Symbol.asyncIterator]: () => events }));
      await stage.together(() => stage.server.restart("SIGTERM"));
      expect(await ending).toMatchObject({
        code: "UNAVAILABLE",
        reason: "SHUTTING_DOWN",
        domain: "procman",
      });
      // It may still be waiting before it connects again.
      const after = await eventually("an answer", () => client.call("Get", { id: job.id }));
      expect(jobOf(after).status).toBe("STATUS_RUNNING");
      await kill(client, job.id);
      await fails(client, "Cancel", { id: job.id }, "JOB_NOT_RUNNING", { jobId: job.id });
    },
  },
];
