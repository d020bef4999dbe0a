import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorReason, ProcmanError } from "../../src/contract/errors.js";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";

/** What a client can tell of an error: the code, the reason, the fields. */
export interface ClientError {
  readonly code: string;
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  readonly fields: readonly string[];
  readonly message: string;
}

/** The error that a call fails with; fails when it does not. */
export async function errorOf(call: Promise<unknown>): Promise<ClientError> {
  try {
    await call;
  } catch (error) {
    const connectError = ConnectError.from(error);
    const [info] = connectError.findDetails(ErrorInfoSchema);
    const violations = connectError.findDetails(BadRequestSchema);
    return {
      code: Code[connectError.code],
      reason: info?.reason,
      domain: info?.domain,
      fields: violations.flatMap(({ fieldViolations }) =>
        fieldViolations.map(({ field }) => field),
      ),
      message: connectError.rawMessage,
    };
  }
  throw new Error("the call did not fail");
}

/** The reason that a call of a manager in this process fails with; undefined where it does not. */
export async function errorReason(call: Promise<unknown>): Promise<ErrorReason | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof ProcmanError) return error.reason;
    throw error;
  }
}

/** All that a stream gives. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}
