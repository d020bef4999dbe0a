import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, createHandlerContext } from "@connectrpc/connect";
import pino from "pino";
import { expect, test } from "vitest";
import {
  AttachRequestSchema,
  GetRequestSchema,
  ProcmanService,
} from "../../../gen/procman/v1/procman_pb.js";
import { peerKey } from "../../../src/server/access/peer.js";
import { createProcmanService } from "../../../src/server/procman-service.js";
import { errorOf } from "../../helpers/errors.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function setUp() {
  const procman = new FakeProcman();
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: "debug" },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const logged = createProcmanService(procman, { logger });
  const leave = new AbortController();
  const context = (method: keyof typeof ProcmanService.method) =>
    createHandlerContext({
      service: ProcmanService,
      method: ProcmanService.method[method],
      protocolName: "connect",
      requestMethod: "POST",
      url: "",
      requestSignal: leave.signal,
      contextValues: createContextValues().set(peerKey, { name: "1.2.3.4:5" }),
    });
  return { procman, lines, logged, leave, context };
}

test("a call is logged once, with who called what and how it ended", async () => {
  const { procman, lines, logged, context } = setUp();
  procman.addJob("a");
  await logged.get(create(GetRequestSchema, { id: "a" }), context("get"));
  await errorOf(Promise.resolve(logged.get(create(GetRequestSchema, { id: "b" }), context("get"))));
  const common = { level: 20, method: "Get", protocol: "connect", peer: "1.2.3.4:5" };
  expect(lines).toMatchObject([
    { ...common, code: "OK" },
    { ...common, code: "NotFound" },
  ]);
  expect(lines[0]?.["ms"]).toBeTypeOf("number");
});

test("a stream that ends is logged once, as it ended", async () => {
  const { procman, lines, logged, leave, context } = setUp();
  procman.addJob("a");
  const request = create(AttachRequestSchema, { id: "a" });
  for await (const _ of logged.attach(request, context("attach"))) expect(lines).toEqual([]);
  leave.abort();
  expect(lines).toMatchObject([{ method: "Attach", code: "OK" }]);
});

test("a stream whose client is gone is logged then, whatever broke, and is no fault", async () => {
  for (const [reason, code] of [
    [Object.assign(new Error("write ECONNRESET"), { code: "ECONNRESET" }), "Canceled"],
    [new ConnectError("late", Code.DeadlineExceeded), "DeadlineExceeded"],
  ] as const) {
    const { procman, lines, logged, leave, context } = setUp();
    procman.addJob("a");
    const request = create(AttachRequestSchema, { id: "a", follow: true });
    const stream = logged.attach(request, context("attach"))[Symbol.asyncIterator]();
    await stream.next();
    // It is never asked for more.
    leave.abort(reason);
    expect(lines).toMatchObject([{ level: 20, code }]);
  }
});

test("a fault of procman's own is an error with its cause; arguments are never logged", async () => {
  const { procman, lines, logged, context } = setUp();
  procman.failure = new Error("true cause");
  const request = create(GetRequestSchema, { id: "secret-id" });
  await errorOf(Promise.resolve(logged.get(request, context("get"))));
  expect(lines).toMatchObject([{ level: 50, code: "Internal", err: { message: "true cause" } }]);
  expect(JSON.stringify(lines)).not.toContain("secret-id");
});
