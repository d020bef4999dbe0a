import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  GetResponseSchema,
  JobSchema,
  ListResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { onceForEach } from "../../platform/once-for-each.js";

type Init<Schema extends DescMessage> = MessageInitShape<Schema>;

const { job: JOB } = GetResponseSchema.field;

/**
 * Encodes the response of a unary call. A job that Get or List gives again, since it has
 * not changed, is not encoded again: that would be most of what they take.
 * @returns bytes that are shared, and must not be written to
 */
export function encodeResponse(schema: DescMessage, response: Init<DescMessage>): Uint8Array {
  switch (schema.typeName) {
    case GetResponseSchema.typeName: {
      const { job } = response as Init<typeof GetResponseSchema>;
      if (job) return encodeJobField(job);
      break;
    }
    case ListResponseSchema.typeName: {
      const { jobs = [] } = response as Init<typeof ListResponseSchema>;
      const rest = toBinary(schema, create(schema, { ...response, jobs: [] }));
      return Buffer.concat([...jobs.map(encodeJobField), rest]);
    }
  }
  return toBinary(schema, create(schema, response));
}

/** Encodes a job with its tag: the same one in both, which a test holds. */
const encodeJobField = onceForEach((job: Init<typeof JobSchema>) =>
  new BinaryWriter()
    .tag(JOB.number, WireType.LengthDelimited)
    .bytes(toBinary(JobSchema, create(JobSchema, job)))
    .finish(),
);
