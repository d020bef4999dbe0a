import type { Client } from "@connectrpc/connect";
import {
  type Line,
  type ProcmanService,
  Stream,
  type WatchResponse,
} from "../../gen/procman/v1/procman_pb.js";

/** The bytes of one stream of a job, from an offset to the end; checks that offsets chain. */
export async function readOutput(
  client: Client<typeof ProcmanService>,
  id: string,
  stream: Stream = Stream.STDOUT,
  offset = 0n,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let next = offset;
  const request = {
    id,
    follow: true,
    streams: [stream],
    ...(stream === Stream.STDOUT ? { stdoutOffset: offset } : { stderrOffset: offset }),
  };
  for await (const { event } of client.attach(request)) {
    if (event.case !== "chunk") continue;
    if (event.value.offset !== next) throw new Error(`${event.value.offset} comes after ${next}`);
    next += BigInt(event.value.data.length);
    pieces.push(event.value.data);
  }
  return Buffer.concat(pieces);
}

/** The lines among a watch's events. */
export function linesOf(events: readonly WatchResponse[]): Line[] {
  return events.flatMap(({ event }) => (event.case === "line" ? [event.value] : []));
}
