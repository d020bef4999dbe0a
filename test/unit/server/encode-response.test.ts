import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  CancelResponseSchema,
  GetResponseSchema,
  JobSchema,
  ListResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { encodeResponse } from "../../../src/server/grpc/encode-response.js";
import { encodeJob } from "../../../src/wire/job.js";
import { endedJob, runningJob } from "../client/some-job.js";

const running = encodeJob(runningJob());
const ended = encodeJob(endedJob());

test.each([
  ["Get", GetResponseSchema, { job: ended }],
  ["Get, of a job that is no message yet", GetResponseSchema, { job: { id: "a" } }],
  ["Get, of nothing", GetResponseSchema, {}],
  ["List", ListResponseSchema, { jobs: [running, ended], nextPageToken: "next", totalSize: 5 }],
  [
    "List, with records that cannot be read",
    ListResponseSchema,
    { jobs: [ended], unreadable: [{ id: "b", error: "torn" }], unreadableSize: 1 },
  ],
  ["List, as a message", ListResponseSchema, create(ListResponseSchema, { jobs: [ended] })],
  ["List, of nothing", ListResponseSchema, {}],
  ["others", CancelResponseSchema, { job: ended }],
])("what is encoded is the response: %s", (_name, schema, response) => {
  const bytes = encodeResponse(schema, response);
  const message = create(schema, response);
  expect(fromBinary(schema, bytes)).toEqual(fromBinary(schema, toBinary(schema, message)));
});

test("a job that is given again is encoded once, for Get and List together", () => {
  let encodings = 0;
  const job = {
    get id() {
      encodings += 1;
      return "a";
    },
  };
  const first = encodeResponse(GetResponseSchema, { job });
  const before = encodings;
  expect(before).toBeGreaterThan(0);
  expect(encodeResponse(GetResponseSchema, { job })).toBe(first);
  const page = fromBinary(ListResponseSchema, encodeResponse(ListResponseSchema, { jobs: [job] }));
  expect(page.jobs).toEqual([create(JobSchema, { id: "a" })]);
  expect(encodings).toBe(before);
});
